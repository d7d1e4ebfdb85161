"""Run concurrent clients of one Store, and record the history of their results."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

from storage.base import Conflict, Delete, Put
from tests.faults.linearizable import Call, Committed, Conflicted, Got, Listed, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.base import Operation, Store
    from tests.faults.linearizable import Outcome

KEYS = ("/a", "/b", "/c", "/d")


class _Client:
    """Performs random operations. `seen`: the revisions that its expectations are based on."""

    def __init__(self, store: Store, number: int, seed: int) -> None:
        self._store, self._choice, self._number = store, random.Random(f"{seed} {number}"), number
        self._seen = dict.fromkeys(KEYS, 0)
        self._wrote = 0

    async def step(self) -> Outcome:
        key, other = self._choice.sample(KEYS, 2)
        kind = self._choice.choice(("get", "list", "create", "update", "claim", "delete"))
        if kind == "get":
            return await self._get(key)
        if kind == "list":
            return await self._list()
        if kind == "create":
            return await self._commit([Put(key, self._value(), 0)])
        if kind == "update":
            return await self._commit([Put(key, self._value(), self._seen[key])])
        if kind == "delete" and self._seen[key]:
            return await self._commit([Delete(key, self._seen[key])])
        value = self._value()  # a claim writes both, or neither
        return await self._commit([Put(key, value, self._seen[key]), Put(other, value, self._seen[other])])

    async def _get(self, key: str) -> Got:
        item = await self._store.get(key)
        self._seen[key] = item.revision if item else 0
        return Got(key, (item.value, item.revision) if item else None)

    async def _list(self) -> Listed:
        page = await self._store.list("")
        self._seen = dict.fromkeys(KEYS, 0) | {item.key: item.revision for item in page.items}
        return Listed(tuple((item.key, item.value, item.revision) for item in page.items), page.revision)

    async def _commit(self, operations: Sequence[Operation]) -> Committed | Conflicted:
        try:
            revision = await self._store.commit(operations)
        except Conflict as conflict:
            self._seen[conflict.key] = conflict.actual
            return Conflicted(conflict.key, conflict.actual)
        self._seen |= {operation.key: revision if isinstance(operation, Put) else 0 for operation in operations}
        return Committed(tuple(operations), revision)

    def _value(self) -> bytes:
        self._wrote += 1
        return b"%d.%d" % (self._number, self._wrote)


async def record(store: Store, seed: int, *, clients: int = 6, steps: int = 40) -> tuple[State, list[Call]]:
    """Return the state before, and all results of the clients; at the end, one of them lists.

    The store is empty and has no other clients."""
    clock, calls = itertools.count(), list[Call]()
    before = State((), await store.current_revision())

    async def reported(client: _Client) -> None:
        start = next(clock)
        outcome = await client.step()
        calls.append(Call(start, next(clock), outcome))

    async def run(client: _Client) -> None:
        for _ in range(steps):
            await reported(client)

    everybody = [_Client(store, number, seed) for number in range(clients)]
    await asyncio.gather(*(run(client) for client in everybody))
    start = next(clock)
    last = await everybody[0]._list()
    return before, [*calls, Call(start, next(clock), last)]
