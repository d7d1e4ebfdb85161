"""Joined lists: always the bytes of the entries that there are, joined once for each group that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from apiserver.endpoints import joined
from apiserver.endpoints.joined import GROUP, JoinedList, JoinedLists
from apiserver.endpoints.parts import Grouped
from apiserver.registry.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


def entry(name: str, revision: int = 1) -> Entry:
    return Entry(name, "", name, revision, b'{"name":"%s","at":%d}' % (name.encode(), revision), {}, {})


def entries(count: int) -> list[Entry]:
    return [entry(str(number)) for number in range(count)]


def encoded(items: Sequence[Entry]) -> bytes:
    return b",".join(item.json for item in items)


@given(st.lists(st.lists(st.integers(0, 3 * GROUP), unique=True, max_size=3 * GROUP), min_size=1, max_size=5), st.integers(0, 2))
def test_they_are_what_is_there_now(answers: list[list[int]], kept: int) -> None:
    """Whatever comes, goes and changes between two answers."""
    everything = entries(3 * GROUP + 1)
    lists = JoinedLists(kept=kept * len(encoded(everything)) // 2)
    for answer in answers:
        wanted = [everything[number] for number in answer]
        found = lists.get("all", wanted)
        if found is not None:
            assert b"".join(found.groups()) == encoded(wanted)
            assert found.size == len(encoded(wanted))
            whole = Grouped(b"[", found, b"]")
            assert whole.join() == b"".join(whole.pieces(1)) == b"[" + encoded(wanted) + b"]"
            assert whole.size == len(whole.join())
            assert whole.exceeds(whole.size - 1)
            assert not whole.exceeds(whole.size)
        for number in answer[:3]:
            everything[number] = entry(str(number), everything[number].revision + 1)


def test_only_groups_that_changed_are_joined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    join = JoinedList._joined

    def counting(self: JoinedList, number: int) -> bytes:
        made.append(number)
        return join(self, number)

    monkeypatch.setattr(joined.JoinedList, "_joined", counting)
    lists, items = JoinedLists(), entries(5 * GROUP)

    def ask() -> list[int]:
        made.clear()
        found = lists.get("all", list(items))
        assert found is not None
        assert b"".join(found.groups()) == encoded(items)
        return list(made)

    assert ask() == [0, 1, 2, 3, 4]
    assert ask() == []
    items[2 * GROUP] = entry("changed", 2)
    assert ask()[0] == 2
    assert 0 not in made
    assert len(made) <= 2, "and perhaps the last"
    items.append(entry("new"))
    assert set(ask()) <= {4, 5}


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    items = entries(100)
    size = len(encoded(items))
    lists = JoinedLists(kept=2 * size)
    found = [lists.get(question, items) for question in "abb"]
    assert found[1] is found[2]
    assert lists.get("c", items) is not None
    assert lists.size == 2 * size
    assert lists.get("b", items) is found[1]
    assert lists.get("a", items) is not found[0]
    assert lists.get("larger", [*items, *items, *items]) is None
    assert lists.size == 2 * size


def test_what_has_grown_too_large_is_not_kept_any_more() -> None:
    items = entries(100)
    lists = JoinedLists(kept=len(encoded(items)))
    assert lists.get("all", items) is not None
    assert lists.get("all", [*items, entry("more")]) is None
    assert lists.size == 0
