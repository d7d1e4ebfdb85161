"""Implement Store over a prefix of an etcd cluster.

Any number of processes may use the same prefix. A revision is etcd's, so it also grows with writes
to other prefixes. This module combines calls (storage.etcd.cluster) and watches
(storage.etcd.watch).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from storage.base import Compacted, Event, FutureRevision, KeyValue, Operation, Page, Progress, Put, StorageError, Store, Unavailable, Usage
from storage.etcd import codec, snapshot
from storage.etcd.cluster import Cluster
from storage.etcd.errors import Refused, to_storage
from storage.etcd.gateway import check_endpoint
from storage.etcd.restoredetection import Fingerprint, RestoreDetector, fingerprint_of
from storage.etcd.singleflight import Singleflight
from storage.etcd.size import Size, size_of
from storage.etcd.tls import TLS
from storage.etcd.watch import Watch

_log = logging.getLogger(__name__)

_PAGE = 100  # keys in the first range of a long list: each value may have 1 MiB
_PAGE_BYTES = 4 << 20  # bytes of values in each later range
_PAGE_KEYS = 10, 1_000
_LIST_ATTEMPTS = 3
_RENEW = 300.0  # seconds between two renewals of the record if others compact
_MEASURE = 30.0  # seconds between two measurements of etcd's size


class EtcdStore(Store):
    """A Store over the keys that begin with `prefix`, in the etcd at `endpoints`.

    An endpoint is host:port, optionally with http:// or https://.

    tls: the certificates; None with https:// endpoints means the system's authorities.

    user, password: for etcd's own authentication; tokens are renewed as needed.

    timeout: seconds for a call; after that it raises Unavailable.

    watch_patience: seconds in which a watch tries to connect again before it ends.

    progress_interval: seconds between two Progress items on an idle watch.

    keep_history: interval in seconds at which older history is compacted, for all of etcd; 0:
    another program compacts it.

    max_request_bytes, max_operations: etcd's --max-request-bytes and --max-txn-ops.

    pool: connections for calls, to each endpoint."""

    exclusive = False

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        prefix: str = "",
        tls: TLS | None = None,
        user: str = "",
        password: str = "",
        timeout: float = 5.0,
        watch_patience: float = 30.0,
        progress_interval: float = 5.0,
        keep_history: float = 300.0,
        max_request_bytes: int = 1_572_864,
        max_operations: int = codec.MAX_OPERATIONS,
        pool: int = 64,
    ) -> None:
        if not endpoints:
            raise ValueError("an etcd store needs at least one endpoint: host:port")
        checked = [check_endpoint(endpoint, tls=tls is not None) for endpoint in endpoints]
        self._cluster = Cluster(checked, tls=tls, user=user, password=password, timeout=timeout, pool=pool)
        self._space = codec.Keyspace(prefix.encode())
        self._watch_patience, self._progress_interval, self._keep_history = watch_patience, progress_interval, keep_history
        self._max_request_bytes, self._max_operations = max_request_bytes, max_operations
        self._revision = Singleflight(self._ask_revision)
        self._restore_detector = RestoreDetector(self._cluster.where)
        self._watches: set[Watch] = set()
        self._started = self._full = False
        self._size = Size(0, 0, full=False)
        self._keepers: list[asyncio.Task[None]] = []
        self._closing: asyncio.Future[None] | None = None

    def usage(self) -> Usage:
        """Return the last measured size and quota of a member, and whether etcd is full.

        Either etcd's alarm or the answer to the latest write says that it is full."""
        return Usage(self._size.used, self._size.quota, full=self._full)

    async def start(self) -> None:
        """Connect, and check that etcd was not restored from an older state. A store starts only
        once.

        Raises Unavailable if no endpoint answers, and RolledBack after such a restore."""
        if self._started or self._closing is not None:
            raise Unavailable(f"the store in etcd at {self._cluster.where} was started or closed before: make a new one")
        self._started = True
        try:
            await self._cluster.open()
            await self._renew_record()
        except BaseException:
            await self.close()
            raise
        self._keepers = [
            asyncio.create_task(self._keep(), name="etcd-keeper"),
            asyncio.create_task(self._keep_measuring(), name="etcd-measure"),
        ]

    async def close(self) -> None:
        """Close the store. Running calls may finish within their timeout."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def get(self, key: str) -> KeyValue | None:
        if not key:
            return None
        kvs = (await self._read(codec.read(self._space.key(key)))).get("kvs")
        return self._space.item(kvs[0]) if kvs else None

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        for attempt in range(_LIST_ATTEMPTS):
            try:
                return await self._list(prefix, start, limit, at)
            except Compacted:
                if at or attempt == _LIST_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def commit(self, operations: Sequence[Operation]) -> int:
        operations = tuple(operations)
        codec.check_commit(operations, self._max_operations, self._max_request_bytes)
        if not operations:
            return await self.current_revision()
        before = self._restore_detector.known
        try:
            answer = await self._cluster.write("/kv/txn", codec.txn(self._space, operations))
        except Refused as error:
            self._full |= error.no_space
            puts = [operation for operation in operations if isinstance(operation, Put)]
            if error.no_space and (revision := await self._stored_together(puts, before.revision)):
                return self._saw(revision)
            raise to_storage(error, self._cluster.where) from error
        # a full etcd accepts deletions too
        if any(isinstance(operation, Put) for operation in operations):
            self._full = False
        self._restore_detector.check(before, fingerprint_of(answer))
        if not answer.get("succeeded"):
            raise codec.conflict(answer, operations)
        return self._saw(codec.revision_of(answer))

    async def _stored_together(self, puts: Sequence[Put], known: int) -> int:
        """Return the revision after `known` that stored all these values, or 0.

        etcd compares a transaction with its quota when it is proposed, and again when it is
        applied. If only the second comparison fails, etcd applies the transaction, and answers that
        it has no space (quotaApplierV3)."""
        revision = 0
        for put in puts:
            item = await self.get(put.key)
            if item is None or item.value != put.value or revision not in (0, item.revision):
                return 0
            revision = item.revision
        return revision if revision > max([known, *(put.expected or 0 for put in puts)]) else 0

    async def measure(self) -> Usage:
        """Ask etcd for its size and quota. Raises the errors of the Store."""
        try:
            size = await size_of(self._cluster)
        except Refused as error:
            raise to_storage(error, self._cluster.where) from error
        return Usage(size.used, size.quota, full=size.full)

    async def save_snapshot(self, file: Path) -> int:
        """Write a snapshot of the whole etcd, of all prefixes, to a new file. See
        storage.etcd.snapshot."""
        return await snapshot.save(self._cluster, file)

    async def current_revision(self) -> int:
        return self._saw(await self._revision.get())

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        self._cluster.current  # noqa: B018 - raises when it is not open
        watch = Watch(
            self._cluster,
            self._space,
            prefix,
            after,
            current=self.current_revision,
            interval=self._progress_interval,
            patience=self._watch_patience,
        )
        self._watches.add(watch)
        try:
            async with aclosing(watch.items()) as items:
                async for item in items:
                    yield item
        finally:
            self._watches.discard(watch)

    async def compact(self, revision: int) -> None:
        try:
            # repeating a compaction is harmless
            await self._cluster.read("/kv/compaction", codec.compaction(revision))
        except Refused as error:
            if error.future:
                raise FutureRevision(revision, await self.current_revision()) from error
            if not error.compacted:
                raise to_storage(error, self._cluster.where) from error

    async def _list(self, prefix: str, start: str | None, limit: int, at: int) -> Page:
        """Return a page of one state, read in several ranges, so that no answer has many MiB."""
        first, end = self._space.span(prefix, start)
        items: list[KeyValue] = []
        revision, size, held = at, _PAGE, 0
        while True:
            answer = await self._read(
                codec.read(first, end, limit=min(size, limit - len(items)) if limit else size, revision=revision), revision
            )
            revision = revision or codec.revision_of(answer)
            page = [self._space.item(kv) for kv in answer.get("kvs", ())]
            items += page
            more = bool(answer.get("more"))
            held += sum(len(item.value) for item in page)
            if not more or (limit and (len(items) >= limit or held >= _PAGE_BYTES)):
                return Page(items, revision, more)
            first = self._space.key(page[-1].key) + b"\0"
            size = _page_size(page)

    async def _read(self, body: bytes, revision: int = 0) -> dict[str, Any]:
        before = self._restore_detector.known
        try:
            answer = await self._cluster.read("/kv/range", body)
        except Refused as error:
            if error.compacted:
                raise Compacted(revision, await self._oldest()) from error
            if error.future:
                raise FutureRevision(revision, await self.current_revision()) from error
            raise to_storage(error, self._cluster.where) from error
        self._restore_detector.check(before, fingerprint_of(answer))
        return answer

    async def _oldest(self) -> int:
        """Return the oldest readable revision. etcd reports it only to a watch that starts before
        it."""
        try:
            async with aclosing(self._probe().items()) as items:
                async for _ in items:
                    break
        except Compacted as error:
            return error.oldest
        raise Unavailable(f"etcd at {self._cluster.where} says that a revision is compacted, and that none is: try again")

    def _probe(self) -> Watch:
        return Watch(self._cluster, self._space, "\1", 1, current=self.current_revision, interval=self._progress_interval, patience=0)

    async def _ask_revision(self) -> int:
        # Any key will do, because the header contains the revision.
        return codec.revision_of(await self._read(codec.read(self._space.record)))

    async def _renew_record(self) -> None:
        """Check the record against etcd's identity, and renew it. Raises RolledBack."""
        answer = await self._read(codec.read(self._space.record))
        now, record = fingerprint_of(answer), Fingerprint("", 0, 0)
        if kvs := answer.get("kvs"):
            record = Fingerprint.decode(codec.value_of(kvs[0]), int(kvs[0]["mod_revision"]))
            self._restore_detector.check(record, now)
        if record.outdated(now):
            # If another replica has written the record first, or etcd is full, the next renewal
            # suffices.
            with suppress(Refused, Unavailable):
                await self._cluster.write("/kv/txn", codec.put_if(self._space.record, now.encode(), record.revision))

    def _saw(self, revision: int) -> int:
        for watch in self._watches:
            watch.saw(revision)
        return revision

    async def _keep(self) -> None:
        """Renew the record and compact history periodically.

        Each replica compacts to the revision that was the latest one period ago, so that replicas
        need no coordination."""
        period, before = self._keep_history or _RENEW, self._restore_detector.known.revision
        while True:
            await asyncio.sleep(period)
            try:
                latest = await self.current_revision()
                await self._renew_record()
                if self._keep_history:
                    await self.compact(before)
                before = latest
            except StorageError as error:
                _log.warning("Compaction failed and will be tried again: %s", error)

    async def _keep_measuring(self) -> None:
        """Measure etcd's size periodically. While etcd does not answer, the last known size
        stays."""
        while True:
            with suppress(StorageError, Refused):
                self._size = await size_of(self._cluster)
                self._full = self._size.full
            await asyncio.sleep(_MEASURE)

    async def _close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        await self._cluster.close()


def _page_size(page: Sequence[KeyValue]) -> int:
    """Return how many keys of this average size fit into _PAGE_BYTES."""
    average = max(1, sum(len(item.value) for item in page) // len(page))
    return min(max(_PAGE_BYTES // average, _PAGE_KEYS[0]), _PAGE_KEYS[1])
