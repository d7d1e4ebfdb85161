"""Keep decoded items in memory, as recent as the Store that they are read from.

The API server reads the Collections of this watch cache synchronously. Items are decoded once per
write, and nothing is copied. The cache itself keeps no stored bytes. As a Store, it forwards every
call. A call returns only when the collections contain the revision that it reports.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar, cast

from storage.base import (
    Compacted,
    Conflict,
    Corrupt,
    Delete,
    Event,
    FutureRevision,
    KeyValue,
    Operation,
    Page,
    Progress,
    Put,
    RolledBack,
    StorageError,
    Store,
    Unavailable,
    Usage,
)
from storage.collection import Collection
from storage.format import check_format
from storage.keys import successor
from storage.ring import Budget
from storage.transfer import MARK
from storage.waiters import Waiters

_log = logging.getLogger(__name__)

T = TypeVar("T")

HISTORY_BYTES = 128 << 20
"""The default size of the history for watches, in bytes."""

_PAGE = 500
_BACKOFF = 0.05, 5.0  # the first and the longest delay, in seconds
_ATTEMPTS = 3  # attempts to load a state with history while the history is being compacted


class WatchCache(Store):
    """A Store around `store`, which it starts and closes.

    history: the number of changes that each collection keeps for its watches. The same number of
    changes is read from the store at the start.

    history_bytes: the memory in bytes that these changes may take, for all collections together.
    When it is exceeded, the collection with the most bytes drops its oldest changes.

    patience: the seconds that a commit waits until the cache has applied it. A read waits for the
    same time until the cache is as recent as the store. After that time, both raise Unavailable."""

    def __init__(self, store: Store, *, history: int = 10_000, history_bytes: int = HISTORY_BYTES, patience: float = 10.0) -> None:
        self.exclusive = store.exclusive
        self.failure: str | None = None
        """The reason why the cache has stopped, or None. Only a restart helps."""
        self.observe: Callable[[str, str, float, bool], None] = _unobserved
        """Called with the operation, its first key, its seconds, and whether it failed, after each
        request to the store."""
        self._inner, self._history, self._patience = store, history, patience
        self._budget = Budget(history_bytes)
        self._revision = 0
        self._collections: list[Collection[Any]] = []
        self._waiters = Waiters()
        self._pump: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._closing: asyncio.Future[None] | None = None
        self._ended: str | None = "the watch cache is not started"

    def collection(
        self,
        prefix: str,
        decode: Callable[[str, bytes, int], T],
        indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
        weigh: Callable[[T], int] | None = None,
    ) -> Collection[T]:
        """Keep the keys below `prefix` decoded. Must be called before `start`.

        decode(key, value, revision) is called once per put, and once per deletion with the last
        value and the deletion's revision. `indexers` maps a name to a function that returns the
        values under which an item can be found. `weigh` returns the bytes of memory that an item
        takes besides its stored value."""
        if self._pump is not None or self._closing is not None:
            raise RuntimeError(f"the collection {prefix} comes too late: collections are made before the cache is started")
        made = Collection(prefix, decode, indexers, history=self._history, budget=self._budget, weigh=weigh)
        self._collections.append(made)
        return made

    @property
    def revision(self) -> int:
        """Return the revision up to which every change has been applied, in all collections."""
        return self._revision

    @property
    def history_used(self) -> int:
        """Return the number of bytes of the changes that are kept for watches."""
        return self._budget.used

    @property
    def history_limit(self) -> int:
        """Return the largest number of bytes that the changes kept for watches may have."""
        return self._budget.most

    def usage(self) -> Usage:
        return self._inner.usage()

    async def start(self) -> None:
        """Start the store and load everything, with the history that the store still has.

        Raises Corrupt if a stored value cannot be decoded, or if the store has a newer format or is
        the target of an unfinished migration."""
        if self._pump is not None or self._closing is not None:
            raise Unavailable("the watch cache was started or closed before: make a new one")
        await self._inner.start()
        try:
            if await self._inner.get(MARK) is not None:
                raise Corrupt(
                    "a migration into this storage has not finished, so objects may be missing: run metal3-workloads migrate with the same "
                    "--from and --to again to continue it, or serve the storage that it came from"
                )
            await check_format(self._inner)
            await self._begin()
        except BaseException:
            await self._inner.close()
            raise
        self._ended = None
        self._pump = asyncio.create_task(self._run(), name="watch-cache")

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def get(self, key: str) -> KeyValue | None:
        self._check()
        return await self._observed("get", key, self._inner.get(key))

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        self._check()
        return await self._observed("list", prefix, self._inner.list(prefix, start=start, limit=limit, at=at))

    async def commit(self, operations: Sequence[Operation]) -> int:
        self._check()
        try:
            revision = await self._observed(*_named(operations), self._inner.commit(operations))
        except Conflict as error:
            # A caller that retries reads from this cache again. It must not conflict with the same
            # write twice.
            latest = error.actual or await self._inner.current_revision()
            with suppress(FutureRevision):
                await self.wait_for(latest, self._patience)
            raise
        try:
            await self.wait_for(revision, self._patience)
        except FutureRevision as error:
            raise Unavailable(
                f"committed as revision {revision}, but not seen here within {self._patience} s: read before you try again"
            ) from error
        return revision

    async def current_revision(self) -> int:
        return await self.confirm()

    async def compact(self, revision: int) -> None:
        self._check()
        await self._observed("compact", "", self._inner.compact(revision))

    async def confirm(self) -> int:
        """Wait until synchronous reads see every commit that was acknowledged before this call.

        Commits of other processes are included. Returns the cache's revision. Costs nothing with an
        exclusive store. Raises Unavailable."""
        self._check()
        if not self.exclusive:
            try:
                latest = await self._observed("revision", "", self._inner.current_revision())
            except RolledBack as error:
                self._fail(error)
                raise
            try:
                await self.wait_for(latest, self._patience)
            except FutureRevision as error:
                raise Unavailable(f"the watch cache is at revision {error.current}, behind the store's {latest}: try again") from error
        return self.revision

    async def wait_for(self, revision: int, timeout: float | None) -> None:
        """Wait until everything up to `revision` has been applied.

        Raises FutureRevision after `timeout` seconds, and Unavailable if the cache is closed
        meanwhile."""
        if self._ended is not None:
            raise Unavailable(self._ended)
        if revision <= self.revision:
            return
        try:
            await self._waiters.wait(revision, timeout)
        except TimeoutError:
            raise FutureRevision(revision, self.revision) from None

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        self._check()
        async with aclosing(_generator(self._inner.watch(prefix, after))) as inner:
            async for item in inner:
                # never yield a change that the collections do not contain yet
                await self.wait_for(item.revision, None)
                yield item

    async def _observed(self, operation: str, key: str, request: Awaitable[T]) -> T:
        began, failed = time.perf_counter(), True
        try:
            result = await request
            failed = False
            return result
        except (Compacted, Conflict, FutureRevision):
            failed = False  # an answer
            raise
        finally:
            self.observe(operation, key, time.perf_counter() - began, failed)

    async def _begin(self) -> None:
        """Load an earlier state and the changes since then, so that watches survive a restart of
        the server."""
        latest = await self._inner.current_revision()
        at = max(1, latest - self._history)
        for _ in range(_ATTEMPTS):
            try:
                await self._load(at)
                await self._follow(latest)
                return
            except Compacted as error:
                at = max(at, error.oldest)
            except Corrupt:
                # a corrupt value may have been repaired since; otherwise the latest state has it
                # too
                break
        await self._load(0)

    async def _run(self) -> None:
        """Follow the inner store until closed, and restart its watch whenever it fails."""
        stale, backoff = False, _BACKOFF[0]
        while not self._stopping.is_set():
            before = self._revision
            try:
                if stale:
                    await self._load(0)
                    stale = False
                await self._follow()
            except FutureRevision as error:
                self._fail(_rolled_back(error.current, error.revision))
                return
            except RolledBack as error:
                self._fail(error)
                return
            except StorageError as error:
                stale = stale or isinstance(error, Compacted)
                if not self._stopping.is_set():
                    _log.warning("The watch cache lost its watch at revision %d and starts it again: %s", self._revision, error)
            except Exception as error:
                self._fail(error)
                return
            backoff = _BACKOFF[0] if self._revision > before else min(backoff * 2, _BACKOFF[1])
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff):
                    await self._stopping.wait()

    async def _load(self, at: int) -> None:
        """Replace everything by the state at revision `at`, 0 for the latest.

        Readers see the new state only when it is complete. All subscribers get Compacted, because
        the changes in between may be lost. Raises Corrupt if a value cannot be decoded."""
        for collection in self._collections:
            collection.clear()
        page = await self._inner.list("", limit=_PAGE, at=at)
        self._load_items(page.items)
        while page.more:
            page = await self._inner.list("", start=successor(page.items[-1].key), limit=_PAGE, at=page.revision)
            self._load_items(page.items)
        if page.revision < self._revision:
            raise _rolled_back(page.revision, self._revision)
        for collection in self._collections:
            collection.reset(page.revision)
        self._advance(page.revision)

    def _load_items(self, items: Sequence[KeyValue]) -> None:
        for item in items:
            for collection in self._collections:
                if item.key.startswith(collection.prefix):
                    try:
                        collection.load(item.key, item.value, item.revision)
                    except Exception as error:
                        raise _undecodable(item.key, item.revision, repr(error)) from error

    async def _follow(self, upto: int = 0) -> None:
        """Apply the events of the inner watch, each commit as a whole.

        If `upto` is given, stop at that revision, and raise Corrupt for a value that cannot be
        decoded."""
        if 0 < upto <= self._revision:
            return
        waiting: list[Event] = []  # the events of one revision that may be incomplete
        async with aclosing(_generator(self._inner.watch("", self._revision))) as inner:
            async for item in inner:
                if waiting and (isinstance(item, Progress) or item.revision > waiting[0].revision):
                    self._apply(waiting, strict=upto > 0)
                    waiting = []
                if isinstance(item, Progress):
                    self._advance(item.revision)
                else:
                    waiting.append(item)
                if 0 < upto <= self._revision:
                    return
        raise Unavailable("the store ended the watch")

    def _apply(self, events: Sequence[Event], *, strict: bool) -> None:
        for event in events:
            for collection in self._collections:
                if event.key.startswith(collection.prefix):
                    if event.type == "delete":
                        collection.delete(event.key, event.value, event.revision)
                    elif not collection.put(event.key, event.value, event.revision, len(event.previous or b"")) and strict:
                        raise _undecodable(event.key, event.revision, "see the log")
        self._advance(events[-1].revision)

    def _advance(self, revision: int) -> None:
        self._revision = max(self._revision, revision)
        for collection in self._collections:
            collection.advance(revision)
        self._waiters.reached(revision)

    async def _close(self) -> None:
        self._stopping.set()
        try:
            # its last commits still arrive through the watch, which then ends
            await self._inner.close()
            if self._pump is not None:
                await asyncio.wait([self._pump], timeout=self._patience)
        finally:
            if self._pump is not None:
                self._pump.cancel()
            self._end("the watch cache is closed")

    def _fail(self, error: Exception) -> None:
        if self.failure is not None:
            return
        _log.error("The watch cache cannot continue", exc_info=error)
        known = isinstance(error, StorageError)
        self.failure = str(error) if known else f"the watch cache stopped because of {error!r}: restart the server"
        self._stopping.set()
        self._end(self.failure)

    def _end(self, reason: str) -> None:
        self._ended = reason
        for collection in self._collections:
            collection.close(reason)
        self._waiters.fail(Unavailable(reason))

    def _check(self) -> None:
        if self._ended is not None or self._closing is not None:
            raise Unavailable(self._ended or "the watch cache is closed")


def _unobserved(operation: str, key: str, seconds: float, failed: bool) -> None:
    """Ignore a request."""


def _named(operations: Sequence[Operation]) -> tuple[str, str]:
    """Return the name and the key of the first operation that changes anything."""
    for operation in operations:
        if isinstance(operation, Put):
            return "create" if operation.expected == 0 else "update", operation.key
        if isinstance(operation, Delete):
            return "delete", operation.key
    return "check", operations[0].key if operations else ""


def _generator(iterator: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Cast a watch to the generator that it is, so that `aclosing` can close it."""
    return cast("AsyncGenerator[T, None]", iterator)


def _undecodable(key: str, revision: int, why: str) -> Corrupt:
    return Corrupt(
        f"{key} at revision {revision} cannot be decoded ({why}): start a version of this server that knows it, delete that key, "
        "or restore a backup"
    )


def _rolled_back(current: int, known: int) -> RolledBack:
    return RolledBack(
        f"the storage is at revision {current}, and {known} was given out before: an older state was put in its place. Stop all servers, "
        "restore the backup as docs/troubles.md says, with larger revisions, and start them again"
    )
