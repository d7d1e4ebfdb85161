from __future__ import annotations

from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from apiserver.handlers.watchers.unreadbytes import UnreadBytes


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=40))
def test_unread_bytes_are_bounded_and_the_user_with_most_is_disconnected_first(sizes: list[tuple[str, int]]) -> None:
    unread, there = UnreadBytes(100), dict[int, tuple[str, int]]()

    def cut(number: int) -> None:
        user, _ = there.pop(number)
        sums = {name: sum(size for one, size in there.values() if one == name) for name in "ab"}
        sums[user] += sizes[number][1]
        assert sums[user] == max(sums.values())
        assert not any(user == other and one < number for one, (other, _) in there.items()), "one of its that waits longer"

    with ExitStack() as stack:
        for number, (user, size) in enumerate(sizes):
            there[number] = user, size
            stack.enter_context(unread.waiting(user, size, lambda number=number: cut(number)))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
            assert unread.size == sum(size for _, size in there.values()) <= 100
    assert unread.size == 0


def test_one_that_has_left_is_not_cut() -> None:
    unread = UnreadBytes(100)
    reported: list[str] = []
    with unread.waiting("a", 90, lambda: reported.append("first")):
        pass
    with unread.waiting("a", 90, lambda: reported.append("second")), unread.waiting("b", 20, lambda: reported.append("third")):
        assert reported == ["second"]
    assert (unread.size, reported) == (0, ["second"])
