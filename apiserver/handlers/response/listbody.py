"""Hold an encoded JSON list in parts, which are joined only when they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Parts"]


class Parts(NamedTuple):
    """`head`, the items, between which commas are inserted, and `tail`."""

    head: bytes
    items: Sequence[bytes]
    tail: bytes

    @property
    def size(self) -> int:
        """The number of bytes of the joined list."""
        return len(self.head) + sum(map(len, self.items)) + max(len(self.items) - 1, 0) + len(self.tail)

    def exceeds(self, size: int) -> bool:
        """Return whether the list has more than `size` bytes. Examines no more items than
        necessary."""
        left = size - len(self.head) - len(self.tail) - max(len(self.items) - 1, 0)
        for item in self.items:
            left -= len(item)
            if left < 0:
                return True
        return left < 0

    def join(self) -> bytes:
        """Return the whole list."""
        return b"".join((self.head, b",".join(self.items), self.tail))

    def pieces(self, count: int) -> Iterator[bytes]:
        """Yield the whole list in order: the head, the items in about `count` pieces, the tail."""
        items = self.items
        step = max(1, -(-len(items) // max(count, 1)))
        if self.head:
            yield self.head
        for start in range(0, len(items), step):
            # An empty item at the end adds the comma before the next piece without copying this
            # one.
            yield b",".join([*items[start : start + step], b""] if start + step < len(items) else items[start : start + step])
        if self.tail:
            yield self.tail
