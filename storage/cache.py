"""The watch cache: a Store around a Store that answers from memory.

It loads everything at start and follows one watch of the inner store. Writes go to the inner store and return once the
cache has applied them. The API server reads its Collections synchronously: decoded once per write, nothing copied.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from storage.base import Compacted, Corrupt, Event, FutureRevision, KeyValue, Page, Progress, StorageError, Store, Unavailable
from storage.collection import Change, Collection
from storage.keys import successor
from storage.ring import Subscription

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Iterable, Mapping, Sequence

    from storage.base import Operation

__all__ = ["Change", "Collection", "Subscription", "WatchCache"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_PAGE = 1_000
_BACKOFF = 0.05, 5.0  # seconds: the first and the longest


class WatchCache(Store):
    """A Store around `store`, which it starts and closes.

    history: how many changes each collection keeps for its watches.
    progress_interval: seconds between two Progress on an idle watch.
    patience: how long a commit waits until the cache has applied it, and a read until the cache is as new as the store, in
    seconds; then Unavailable."""

    def __init__(self, store: Store, *, history: int = 10_000, progress_interval: float = 5.0, patience: float = 10.0) -> None:
        self.exclusive = store.exclusive
        self._inner, self._history, self._progress_interval, self._patience = store, history, progress_interval, patience
        self._all = Collection("", KeyValue, history=history)
        self._collections: list[Collection[Any]] = [self._all]
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap by revision
        self._order = itertools.count()
        self._pump: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._closing: asyncio.Future[None] | None = None
        self._ended: str | None = "the watch cache is not started"

    def collection(
        self,
        prefix: str,
        decode: Callable[[str, bytes, int], T],
        indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
    ) -> Collection[T]:
        """Keep what is below `prefix` decoded. To be called before `start`.

        decode(key, value, revision) is called once per put, and once per deletion with the last value and the deletion's
        revision. indexers: name → function from an item to the values it shall be found under."""
        if self._pump is not None or self._closing is not None:
            raise RuntimeError(f"the collection {prefix} comes too late: collections are made before the cache is started")
        made = Collection(prefix, decode, indexers, history=self._history)
        self._collections.append(made)
        return made

    @property
    def revision(self) -> int:
        """Every change up to this revision has been applied, in all collections."""
        return self._all.revision

    async def start(self) -> None:
        """As Store.start; returns when everything is loaded. Corrupt when a stored value cannot be decoded."""
        if self._pump is not None or self._closing is not None:
            raise Unavailable("the watch cache was started or closed before: make a new one")
        await self._inner.start()
        try:
            items, revision = await self._list_all()
            self._load(items, revision)
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
        await self.confirm()
        return self._all.get(key)

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        self._check()
        if at == 0:
            await self.confirm()
        elif at != self.revision:
            return await self._inner.list(prefix, start=start, limit=limit, at=at)
        items = self._all.range(prefix, start=start or "", limit=limit + 1 if limit else 0)
        more = 0 < limit < len(items)
        return Page(items[:limit] if more else items, self.revision, more)

    async def commit(self, operations: Sequence[Operation]) -> int:
        self._check()
        revision = await self._inner.commit(operations)
        try:
            await self.wait_for(revision, self._patience)
        except FutureRevision as error:
            raise Unavailable(
                f"committed as revision {revision}, but not seen here within {self._patience} s: read before going on"
            ) from error
        return revision

    async def current_revision(self) -> int:
        return await self.confirm()

    async def compact(self, revision: int) -> None:
        self._check()
        await self._inner.compact(revision)
        self._all.begin(revision)

    async def confirm(self) -> int:
        """Make sure that synchronous reads right after this see every commit acknowledged before it, by whomever.
        Returns the cache's revision. Free with an exclusive store. Raises Unavailable."""
        self._check()
        if not self.exclusive:
            latest = await self._inner.current_revision()
            try:
                await self.wait_for(latest, self._patience)
            except FutureRevision as error:
                raise Unavailable(f"the watch cache is at revision {error.current}, behind the store's {latest}: try again") from error
        return self.revision

    async def wait_for(self, revision: int, timeout: float | None) -> None:
        """Return when everything up to `revision` has been applied. FutureRevision when that takes longer than `timeout`
        seconds, Unavailable when the cache is closed meanwhile."""
        if self._ended is not None:
            raise Unavailable(self._ended)
        if revision <= self.revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (revision, next(self._order), waiter))
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            raise FutureRevision(revision, self.revision) from None

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        self._check()
        if after > self.revision:
            await self.confirm()
        while True:
            if after < self._all.floor:
                async with aclosing(self._watch_inner(prefix, after)) as older:
                    async for item in older:
                        yield item
                        after = item.revision if isinstance(item, Progress) else after
                continue  # memory may have moved on while the reader was busy
            subscription, patience = self._all.subscribe(after), 0.0  # progress at once when nothing is waiting
            with suppress(Compacted):  # the reader was overtaken: maybe the inner store has more history
                while True:
                    for change in await subscription.next(patience):
                        if change.item.key.startswith(prefix):
                            yield _event(change)
                    after, patience = subscription.revision, self._progress_interval
                    yield Progress(after)

    async def _watch_inner(self, prefix: str, after: int) -> AsyncGenerator[Event | Progress, None]:
        """The inner store's watch, until memory reaches back to where it is. Shows nothing that reads here do not see yet."""
        inner = self._inner.watch(prefix, after)
        try:
            async for item in inner:
                await self.wait_for(item.revision, None)
                yield item
                if isinstance(item, Progress) and item.revision >= self._all.floor:
                    return
            raise Unavailable("the store ended the watch: start it again")
        finally:
            if (aclose := getattr(inner, "aclose", None)) is not None:
                await aclose()

    async def _run(self) -> None:
        """Follow the inner store until closed, whatever happens to its watch."""
        stale, backoff = False, _BACKOFF[0]
        while not self._stopping.is_set():
            before = self.revision
            try:
                if stale:
                    await self._relist()
                    stale = False
                await self._follow()
            except StorageError as error:
                stale = stale or isinstance(error, Compacted)
                if not self._stopping.is_set():
                    _log.warning("The watch cache lost its watch at revision %d and starts it again: %s", self.revision, error)
            except Exception as error:
                _log.exception("The watch cache cannot go on")
                self._end(f"the watch cache stopped because of {error!r}: restart the server")
                return
            backoff = _BACKOFF[0] if self.revision > before else min(backoff * 2, _BACKOFF[1])
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)

    async def _follow(self) -> None:
        """Apply the inner watch's events, each commit as a whole."""
        waiting: list[Event] = []  # the events of one revision, not known to be complete
        async for item in self._inner.watch("", self.revision):
            if (waiting and item.revision > waiting[0].revision) or isinstance(item, Progress):
                self._apply(waiting)
                waiting = []
            if isinstance(item, Progress):
                self._advance(item.revision)
            else:
                waiting.append(item)
        raise Unavailable("the store ended the watch")

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            self._change(event.type == "put", event.key, event.value, event.revision)
        if events:
            self._advance(events[-1].revision)

    def _change(self, put: bool, key: str, value: bytes, revision: int) -> None:
        for collection in self._collections:
            if key.startswith(collection.prefix):
                (collection.put if put else collection.delete)(key, value, revision)

    def _advance(self, revision: int) -> None:
        for collection in self._collections:
            collection.advance(revision)
        while self._waiters and self._waiters[0][0] <= revision:
            waiter = heapq.heappop(self._waiters)[2]
            if not waiter.done():
                waiter.set_result(None)

    async def _list_all(self) -> tuple[Sequence[KeyValue], int]:
        page = await self._inner.list("", limit=_PAGE)
        items = [*page.items]
        while page.more:
            page = await self._inner.list("", start=successor(items[-1].key), limit=_PAGE, at=page.revision)
            items += page.items
        return items, page.revision

    def _load(self, items: Sequence[KeyValue], revision: int) -> None:
        for item in items:
            for collection in self._collections:
                if item.key.startswith(collection.prefix):
                    try:
                        collection.load(item.key, item.value, item.revision)
                    except Exception as error:
                        raise Corrupt(
                            f"{item.key} at revision {item.revision} cannot be decoded ({error!r}): start a version of this server "
                            "that knows it, delete that key, or restore a backup"
                        ) from error
        for collection in self._collections:
            collection.reset(revision)

    async def _relist(self) -> None:
        """The inner store no longer has the history in between: compare states, and tell subscribers the differences."""
        items, revision = await self._list_all()
        last = self.revision
        if revision < last:
            raise Unavailable(
                f"the store is at revision {revision}, the cache already at {last} (was a backup restored?): restart the server"
            )
        present = {item.key for item in items}
        for old in self._all.range():
            if old.key not in present:
                self._change(False, old.key, old.value, last)
        for item in sorted(items, key=lambda item: item.revision):
            if item.revision > last:
                self._change(True, item.key, item.value, item.revision)
        for collection in self._collections:
            collection.begin(revision)
        self._all.reset(revision)  # a Store's watch must not be told differences for events
        self._advance(revision)

    async def _close(self) -> None:
        self._stopping.set()
        try:
            await self._inner.close()  # its last commits still come through the watch, which then ends
            if self._pump is not None:
                await asyncio.wait([self._pump], timeout=self._patience)
        finally:
            if self._pump is not None:
                self._pump.cancel()
            self._end("the watch cache is closed")

    def _end(self, reason: str) -> None:
        self._ended = reason
        for collection in self._collections:
            collection.close(reason)
        for _, _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Unavailable(reason))
        self._waiters.clear()

    def _check(self) -> None:
        if self._ended is not None or self._closing is not None:
            raise Unavailable(self._ended or "the watch cache is closed")


def _event(change: Change[KeyValue]) -> Event:
    previous = change.previous
    return Event(change.type, change.item.key, change.item.value, change.revision, None if previous is None else previous.value)
