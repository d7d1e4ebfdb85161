"""Serialize the writes that add to one total, across all replicas.

Each such write stores the turn of its namespace in its own commit. The condition is that no other
write has stored it since the total was counted. So no two writes rely on the same count. Namespaces
share a fixed number of stored turns, so that a deleted namespace leaves none behind. A secret in
the store decides which namespaces share a turn. So a tenant cannot choose a namespace's name that
delays the writes of another namespace.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import blake2b
from secrets import token_hex
from weakref import WeakValueDictionary

import orjson

from apiserver.apis.status import internal
from apiserver.registry.generic.context import Context
from storage.base import Conflict, Priority, Put
from storage.cache import WatchCache

PREFIX = "/server/quota-turns/"
SECRET = "/server/quota-turns-secret"
BYTES = 2
"""The bytes of a stored turn's name. So there are at most 65,536 stored turns."""
SECONDS = 10.0
"""The seconds for which a write waits for its turn."""


class QuotaTurns:
    """The turns of all namespaces. Create it before the cache is started."""

    def __init__(self, cache: WatchCache) -> None:
        self._cache, self._secret = cache, b""
        self._stored = cache.collection(PREFIX, lambda key, value, revision: revision)
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    async def take(self, namespace: str, context: Context) -> None:
        """Wait for the namespace's turn, which the write keeps until its outcome is known.

        Call it before the total is counted, again in each attempt. Raises ApiError (500) if it takes
        too long."""
        key = await self._key(namespace)
        lock = self._locks.get(namespace) or asyncio.Lock()
        self._locks[namespace] = lock
        if not any(isinstance(one, _QuotaTurn) and one.lock is lock for one in context.on_finish):
            try:
                async with asyncio.timeout(SECONDS):
                    await lock.acquire()
            except TimeoutError:
                raise internal("resource quota evaluation timed out") from None
            context.on_finish.append(_QuotaTurn(lock))
        context.operations = [Put(key, b"{}", self._stored.get(key) or 0, Priority.FOLLOWS)]

    async def _key(self, namespace: str) -> str:
        """Return the key of the namespace's turn, which is the same on all replicas."""
        if not self._secret:
            made = orjson.dumps({"secret": token_hex(16)})
            with suppress(Conflict):
                await self._cache.commit([Put(SECRET, made, expected=0, priority=Priority.FOLLOWS)])
            stored = await self._cache.get(SECRET)
            assert stored is not None, "the secret is never deleted"
            self._secret = stored.value
        return PREFIX + blake2b(namespace.encode(), key=self._secret, digest_size=BYTES).hexdigest()

    def forget(self, context: Context) -> None:
        """Remove the turn of an earlier attempt from the write's commit."""
        context.operations = []


class _QuotaTurn:
    """The turn of one write. Context.on_finish calls it with the outcome, which ends the turn."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self.lock = lock

    def __call__(self, happened: bool | None) -> None:
        self.lock.release()
