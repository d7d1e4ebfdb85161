"""Provide a store over plain lists whose watch fails on command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from storage.base import Compacted, Delete, Event, FutureRevision, KeyValue, Page, Progress, Put, StorageError, Store, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from storage.base import Operation


class ScriptedStore(Store):
    """A store for tests.

    `silent`: watches show nothing new. `deaf`: this number of watches never show anything new.
    `fail(error)`: the running watch, or the next one, raises the error. `own`: whether the store is
    the only writer."""

    def __init__(self, *, own: bool = True) -> None:
        self.exclusive = own
        self.revision, self.compacted = 1, 0
        self.events: list[Event] = []
        self.state: dict[str, KeyValue] = {}
        self.silent, self.closed, self.deaf = False, False, 0
        self.watches = self.lists = 0
        self.errors: list[StorageError] = []
        self.changed = asyncio.Event()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def fail(self, error: StorageError) -> None:
        self.errors.append(error)
        self.wake()

    def write(self, *operations: Operation) -> int:
        self.revision += 1
        for operation in operations:
            old = self.state.pop(operation.key, None)
            previous = old.value if old else None
            if isinstance(operation, Put):
                self.state[operation.key] = KeyValue(operation.key, operation.value, self.revision)
                self.events.append(Event("put", operation.key, operation.value, self.revision, previous))
            elif isinstance(operation, Delete) and old:
                self.events.append(Event("delete", operation.key, old.value, self.revision, previous))
        self.wake()
        return self.revision

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True
        self.wake()

    async def get(self, key: str) -> KeyValue | None:
        return self.state.get(key)

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        self.lists += 1
        if 0 < at < self.compacted:
            raise Compacted(at, self.compacted)
        state = self.state_at(at) if at else self.state
        items = [state[key] for key in sorted(state) if key.startswith(prefix) and key >= (start or "")]
        return Page(items[: limit or None], at or self.revision, 0 < limit < len(items))

    def state_at(self, revision: int) -> dict[str, KeyValue]:
        state: dict[str, KeyValue] = {}
        for event in self.events:
            if event.revision <= revision:
                state.pop(event.key, None)
                if event.type == "put":
                    state[event.key] = KeyValue(event.key, event.value, event.revision)
        return state

    async def commit(self, operations: Sequence[Operation]) -> int:
        return self.write(*operations)

    async def current_revision(self) -> int:
        return self.revision

    async def compact(self, revision: int) -> None:
        self.compacted = revision

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        self.watches += 1
        number = self.watches
        if after < self.compacted:
            raise Compacted(after, self.compacted)
        if after > self.revision:
            raise FutureRevision(after, self.revision)
        while True:
            changed = self.changed
            if self.closed:
                raise Unavailable("closed")
            if self.errors:
                raise self.errors.pop(0)
            if not self.silent and number > self.deaf:
                for event in [event for event in self.events if event.revision > after]:
                    yield event
                    # as over a network, other tasks run between the events of a commit
                    await asyncio.sleep(0)
                after = self.revision
                yield Progress(after)
            await changed.wait()
