"""An encoded JSON list in parts, which are joined only as they go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Parts"]


class Parts(NamedTuple):
    """`head`, the items with a comma between each two, `tail`."""

    head: bytes
    items: Sequence[bytes]
    tail: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.head) + sum(map(len, self.items)) + max(len(self.items) - 1, 0) + len(self.tail)

    def exceeds(self, size: int) -> bool:
        """Whether it has more bytes than these; without looking at more items than that takes."""
        left = size - len(self.head) - len(self.tail) - max(len(self.items) - 1, 0)
        for item in self.items:
            left -= len(item)
            if left < 0:
                return True
        return left < 0

    def join(self) -> bytes:
        """All of it."""
        return b"".join((self.head, b",".join(self.items), self.tail))

    def pieces(self, count: int) -> Iterator[bytes]:
        """All of it in order: the head, the items in about this many pieces, the tail."""
        items = self.items
        step = max(1, -(-len(items) // max(count, 1)))
        if self.head:
            yield self.head
        for start in range(0, len(items), step):
            # An empty item at the end makes the comma before the next piece without copying this one.
            yield b",".join([*items[start : start + step], b""] if start + step < len(items) else items[start : start + step])
        if self.tail:
            yield self.tail
