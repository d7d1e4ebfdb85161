from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.sortedmap import SortedMap

KEYS = st.text("ab/", max_size=4)


@given(st.lists(st.tuples(st.booleans(), KEYS)), KEYS, KEYS, st.integers(0, 4))
def test_a_sorted_map_behaves_as_a_sorted_dict(steps: list[tuple[bool, str]], prefix: str, start: str, limit: int) -> None:
    model: dict[str, tuple[str, int]] = {}
    real: SortedMap[tuple[str, int]] = SortedMap()
    for n, (add, key) in enumerate(steps):
        if add:
            model[key] = (key, n)
            real.put(key, (key, n))
        else:
            model.pop(key, None)
            real.discard(key)
    assert len(real) == len(model)
    assert real.range() == [model[key] for key in sorted(model)]
    wanted = [model[key] for key in sorted(model) if key.startswith(prefix) and key >= start]
    assert real.range(prefix, start, limit) == (wanted[:limit] if limit else wanted)


def test_callers_may_change_returned_lists() -> None:
    real: SortedMap[int] = SortedMap()
    real.put("a", 1)
    real.range().clear()
    real.range("a").clear()
    assert real.range() == [1]
