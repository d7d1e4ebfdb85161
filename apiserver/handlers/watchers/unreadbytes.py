"""Bound the bytes that clients of watches have not read, so that slow readers take no memory from
others.

A client has some seconds to read the written bytes (see handlers.watch). While all unread bytes
exceed the bound, the user with most of them loses the connection that has waited longest. Use it on
one event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

UNREAD = 64 * 1024 * 1024
"""The largest number of bytes in the buffers of all watches' connections.

Encryption makes them take up to three times as much memory."""


class _Waiting(NamedTuple):
    user: Hashable
    size: int
    cut: Callable[[], object]


class UnreadBytes:
    """The unread bytes of all clients. `size` is their sum."""

    def __init__(self, most: int = UNREAD) -> None:
        self._most, self.size = most, 0
        self._waiting: dict[int, _Waiting] = {}  # the longest wait comes first
        self._number = 0

    @contextmanager
    def waiting(self, user: Hashable, size: int, cut: Callable[[], object]) -> Iterator[None]:
        """Count `size` bytes that wait for a client of the user.

        `cut` ends the client's connection, and is called at most once."""
        self._number += 1
        number = self._number
        self._waiting[number] = _Waiting(user, size, cut)
        self.size += size
        while self.size > self._most:
            self._leave(self._worst()).cut()
        try:
            yield
        finally:
            if number in self._waiting:
                self._leave(number)

    def _worst(self) -> int:
        sizes: Counter[Hashable] = Counter()
        for one in self._waiting.values():
            sizes[one.user] += one.size
        user = max(sizes, key=sizes.__getitem__)
        return next(number for number, one in self._waiting.items() if one.user == user)

    def _leave(self, number: int) -> _Waiting:
        gone = self._waiting.pop(number)
        self.size -= gone.size
        return gone
