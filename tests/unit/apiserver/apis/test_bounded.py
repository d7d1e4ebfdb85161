from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.bounded import ENTRY, PART, Bounded, bounded_lru_cache, footprint


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["put", "get", "pop"]), st.integers(0, 400)), max_size=60))
def test_the_cache_keeps_the_most_recently_used_values_that_fit(steps: list[tuple[str, str, int]]) -> None:
    cache: Bounded[str, int] = Bounded(1500)
    model: dict[str, int] = {}  # most recently used last; the value is the size
    for key, what, size in steps:
        if what == "put":
            model.pop(key, None)
            model[key] = size
            while sum(model.values()) + ENTRY * len(model) > 1500:
                del model[next(iter(model))]
            cache.put(key, size, size)
        elif what == "get":
            assert cache.get(key) == model.get(key)
            if key in model:
                model[key] = model.pop(key)
        else:
            assert cache.pop(key) == model.pop(key, None)
        assert (len(cache), cache.size) == (len(model), sum(model.values()) + ENTRY * len(model))
        assert cache.size <= cache.most


def test_a_value_larger_than_the_cache_is_not_kept_and_evicts_no_other() -> None:
    cache: Bounded[str, str] = Bounded(1000)
    cache.put("small", "x", 1)
    cache.put("large", "x", 1001)
    assert (cache.get("large"), cache.get("small")) == (None, "x")
    cache.put("small", "y", 1001)  # the old value must not outlive a newer one
    assert cache.get("small") is None
    cache.put("a", "x", 1)
    cache.clear()
    assert (len(cache), cache.size) == (0, 0)


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...]
    extra: dict[str, Any]


def test_a_footprint_grows_with_texts_and_with_parts() -> None:
    def of(text: str, parts: int) -> int:
        return footprint(((text, ("a",) * parts), User(text, (text,) * parts, {text: [text]})))

    assert of("x" * 1000, 1) - of("", 1) == 1000 * 5
    assert of("", 101) - of("", 1) == 100 * (2 * PART) + 100
    assert footprint((None, 1, 2.5, b"abc")) == 5 * PART + 3


def test_texts_that_are_long_are_not_remembered() -> None:
    asked: list[str] = []

    @bounded_lru_cache(2, 10)
    def count(text: str, more: str = "") -> int:
        asked.append(text + more)
        return len(text + more)

    assert [count("a"), count("a"), count("b"), count("b")] == [1, 1, 1, 1]
    assert asked == ["a", "b"]
    for text in ("x" * 11, "y" * 11):
        assert [count(text), count(text), count("a", text), count("a", text)] == [11, 11, 12, 12]
    assert len(asked) == 2 + 8
    count("b")
    assert len(asked) == 10  # the large texts have not evicted it
    count("c"), count("d"), count("b")
    assert asked[10:] == ["c", "d", "b"]
    with pytest.raises(TypeError):
        count()  # type: ignore[call-arg] # the missing argument is what is refused
