"""Joined bytes of lists, kept until the next time the same list is asked for: what did not change since then is not joined again.

Lists are known by a question, and what was kept is used only for the very entries that it was made of, whoever asks. Limits: objects as
they are stored (no tables), lists that are not short, and no more than `kept` bytes of all lists together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from apiserver.registry.entry import Entry

__all__ = ["SHORTEST", "JoinedList", "JoinedLists"]

KEPT = 32 * 1024 * 1024
"""Bytes that are kept."""
SHORTEST = 32
"""Entries of a list that is worth it."""
GROUP = 80
"""Entries that are joined: about as much as is written at once (respond.CHUNK), when they are of 3 KiB."""


class JoinedList:
    """The JSON of these entries with commas between them, in groups that are joined when they are first wanted. `before`: the same list at
    an earlier time, whose groups are taken over as far as they are of the same entries."""

    __slots__ = ("_entries", "_groups", "size")

    def __init__(self, entries: Sequence[Entry], before: JoinedList | None = None) -> None:
        self._entries = entries
        self._groups: list[bytes | None] = [None] * -(-len(entries) // GROUP)
        self.size = sum(len(entry.json) for entry in entries) + max(len(entries) - 1, 0)
        if before is not None:
            self._take_over(before)

    def of(self, entries: Sequence[Entry]) -> bool:
        """Whether it is the list of these very entries."""
        return self._entries == entries  # entries have no equality of their own: this compares references

    def groups(self) -> Iterator[bytes]:
        """All of it, in order."""
        for number, group in enumerate(self._groups):
            if group is None:
                group = self._groups[number] = self._joined(number)
            yield group

    def _joined(self, number: int) -> bytes:
        items = [entry.json for entry in self._part(number)]
        if number + 1 < len(self._groups):
            items.append(b"")  # the comma before the next group
        return b",".join(items)

    def _part(self, number: int) -> Sequence[Entry]:
        return self._entries[number * GROUP : (number + 1) * GROUP]

    def _take_over(self, before: JoinedList) -> None:
        # The last group of either has no comma behind it, or more entries in the other.
        for number in range(min(len(self._groups), len(before._groups)) - 1):
            if self._part(number) == before._part(number):
                self._groups[number] = before._groups[number]


class JoinedLists:
    """The lists that were asked for last. `kept`: how many bytes at most."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._size = kept, 0
        self._lists: dict[Hashable, JoinedList] = {}  # what was used last comes last

    @property
    def size(self) -> int:
        """Bytes of all lists that are kept."""
        return self._size

    def get(self, question: Hashable, entries: Sequence[Entry]) -> JoinedList | None:
        """The joined list of these entries, which are the answer to the question now; None when it is too large to be kept."""
        before = self._lists.pop(question, None)
        if before is not None:
            if before.of(entries):
                self._lists[question] = before
                return before
            self._size -= before.size
        made = JoinedList(entries, before)
        if made.size > self._kept:
            return None
        self._lists[question] = made
        self._size += made.size
        while self._size > self._kept:
            self._size -= self._lists.pop(next(iter(self._lists))).size
        return made
