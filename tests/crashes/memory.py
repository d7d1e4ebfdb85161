"""Provide a Store in memory that can copy its state, so that a hundred histories begin at the same
point.

It passes storage.testing.StoreTests."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storage.base import Check, Compacted, Conflict, Delete, Event, FutureRevision, KeyValue, Page, Progress, Put, Store, Unavailable
from storage.keys import check_operations
from storage.ring import Ring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from storage.base import Operation


@dataclass
class Data:
    """The part that outlives a MemoryStore: all events, and the resulting state."""

    revision: int = 1
    compacted: int = 0
    state: dict[str, KeyValue] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def copy(self) -> Data:
        """Return the same state without its history."""
        return Data(self.revision, self.revision, dict(self.state))


class MemoryStore(Store):
    """A store. `committed` receives every commit's events before any watch does."""

    exclusive = True

    def __init__(self, data: Data, *, committed: Callable[[list[Event]], None] | None = None, progress_interval: float = 30.0) -> None:
        self.data, self._committed, self._progress_interval = data, committed, progress_interval
        self._ring: Ring[Event] | None = None
        self._open = False

    async def start(self) -> None:
        self._ring = Ring(100_000, self.data.compacted)
        for event in self.data.events:
            if event.revision > self.data.compacted:
                self._ring.append(event.revision, event)
        self._ring.advance(self.data.revision)
        self._open = True

    async def close(self) -> None:
        self._open = False
        if self._ring is not None:
            self._ring.close("the store is closed")

    async def get(self, key: str) -> KeyValue | None:
        self._check()
        return self.data.state.get(key)

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        self._check()
        if at > self.data.revision:
            raise FutureRevision(at, self.data.revision)
        if 0 < at < self.data.compacted:
            raise Compacted(at, self.data.compacted)
        state = self._state_at(at) if 0 < at < self.data.revision else self.data.state
        keys = sorted((key for key in state if key.startswith(prefix) and key >= (start or "")), key=str.encode)
        wanted = keys[:limit] if limit else keys
        return Page([state[key] for key in wanted], at or self.data.revision, len(wanted) < len(keys))

    def _state_at(self, revision: int) -> dict[str, KeyValue]:
        state: dict[str, KeyValue] = {}
        for event in self.data.events:
            if event.revision <= revision:
                state.pop(event.key, None)
                if event.type == "put":
                    state[event.key] = KeyValue(event.key, event.value, event.revision)
        return state

    async def commit(self, operations: Sequence[Operation]) -> int:
        ring = self._check()
        check_operations(operations)
        await asyncio.sleep(0)  # other tasks run in between, as with any store that writes
        self._check()
        data = self.data
        for operation in operations:
            actual = data.state[operation.key].revision if operation.key in data.state else 0
            if operation.expected not in (None, actual):
                raise Conflict(operation.key, operation.expected or 0, actual)
        events = [event for operation in operations if (event := self._event(operation, data.revision + 1)) is not None]
        if events:
            data.revision += 1
            for event in events:
                data.state.pop(event.key, None)
                if event.type == "put":
                    data.state[event.key] = KeyValue(event.key, event.value, event.revision)
                data.events.append(event)
                ring.append(event.revision, event)
            if self._committed is not None:
                self._committed(events)
            ring.advance(data.revision)
        return data.revision

    def _event(self, operation: Operation, revision: int) -> Event | None:
        old = self.data.state.get(operation.key)
        match operation:
            case Put():
                return Event("put", operation.key, operation.value, revision, old.value if old else None)
            case Delete() if old is not None:
                return Event("delete", operation.key, old.value, revision, old.value)
            case Check() | Delete():
                return None

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        ring = self._check()
        if after > self.data.revision:
            raise FutureRevision(after, self.data.revision)
        if after < self.data.compacted:
            raise Compacted(after, self.data.compacted)
        subscription, patience = ring.subscribe(after), 0.0
        with suppress(Compacted):
            while True:
                for event in await subscription.next(patience):
                    if event.key.startswith(prefix):
                        yield event
                patience = self._progress_interval
                yield Progress(subscription.revision)

    async def current_revision(self) -> int:
        self._check()
        return self.data.revision

    async def compact(self, revision: int) -> None:
        ring = self._check()
        if revision > self.data.revision:
            raise FutureRevision(revision, self.data.revision)
        self.data.compacted = max(self.data.compacted, revision)
        ring.floor = max(ring.floor, self.data.compacted)

    def _check(self) -> Ring[Event]:
        if not self._open or self._ring is None:
            raise Unavailable("the store is closed, or not started yet")
        return self._ring
