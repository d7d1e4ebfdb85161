"""Implement Store over one SQLite file in WAL mode.

One thread makes groups of commits durable (storage.sqlite.writer), and a few threads read. Watches
are served from memory after each durable commit, and from the table for older events.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from storage.base import Compacted, Event, FutureRevision, KeyValue, Operation, Page, Progress, StorageError, Store, Unavailable, Usage
from storage.keys import check_operations
from storage.ring import Budget, Ring
from storage.sqlite import statements
from storage.sqlite.errors import translate
from storage.sqlite.freespace import FreeSpace, full
from storage.sqlite.lock import FileLock
from storage.sqlite.offline import replaced_files
from storage.sqlite.readers import Readers
from storage.sqlite.retention import Horizon, Retention
from storage.sqlite.schema import Synchronous, connect, copy, last_id, meta, prepare
from storage.sqlite.writer import Writer

_log = logging.getLogger(__name__)

_HISTORY_PAGE = 256


class SQLiteStore(Store):
    """A Store over the file `path`, which is created if missing. Its directory must exist.

    synchronous: "full" makes every acknowledged commit survive a power cut. "normal" and "off"
    survive only the end of the process, and are for development.

    retention: how much history is kept.

    readers: the number of threads that read.

    recent, recent_bytes: the number and the bytes of events kept in memory for watches; older ones
    are read from the file.

    max_bytes: the size beyond which commits are refused (Full); 0: the size of the disk. An eighth
    of it, up to 64 MiB, is reserved for deletions, and so is a sixteenth of the disk.

    check: whether to verify the file's structure at the start, which reads all of it.

    progress_interval: seconds between two Progress items on an idle watch."""

    exclusive = True

    def __init__(
        self,
        path: Path | str,
        *,
        synchronous: Synchronous = "full",
        retention: Retention | None = None,
        readers: int = 2,
        recent: int = 1024,
        recent_bytes: int = 16 << 20,
        max_bytes: int = 0,
        check: bool = True,
        progress_interval: float = 5.0,
    ) -> None:
        self.path = Path(path)
        self._synchronous, self._retention, self._check = synchronous, retention or Retention(), check
        self._reader_count, self._recent, self._max_bytes, self._progress_interval = readers, recent, max_bytes, progress_interval
        self._recent_bytes = recent_bytes
        self._ring: Ring[Event] = Ring(recent)
        self._horizon = Horizon(self._retention)
        self._compaction_due = asyncio.Event()
        self._compacted = 0
        self._lock: FileLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._readers: Readers | None = None
        self._free_space: FreeSpace | None = None
        self._reported_full = False
        self._writer: Writer | None = None
        self._opening: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._compactor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the file. A store can be started once."""
        if self._opening is not None or self._closing is not None:
            raise Unavailable(f"{self.path} was started or closed before: make a new SQLiteStore")
        self._opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        await asyncio.shield(self._opening)
        if self._closing is not None or self._connection is None:
            raise self._closed()
        for aside in replaced_files(self.path):
            _log.warning(
                "%s takes room on the volume. Delete it if nothing is missing: metal3-workloads restore --discard-replaced --storage=sqlite:///%s",
                aside,
                self.path.resolve(),
            )
        counters = meta(self._connection)
        self._ring = Ring(self._recent, counters["revision"], budget=Budget(self._recent_bytes))
        self._compacted = counters["compacted"]
        self._free_space = FreeSpace(self._connection, self.path.resolve(), self._max_bytes)
        self._writer = Writer(self._connection, self.path, self._free_space, self._publish, self._publish_compacted, self._short)
        if self._retention.interval:
            self._compactor = asyncio.create_task(self._compact_regularly(), name="sqlite-compactor")

    def usage(self) -> Usage:
        """Return how much of the file is in use."""
        free_space = self._free_space
        return (
            Usage(0, self._max_bytes, full=False) if free_space is None else Usage(free_space.used, free_space.limit, full=free_space.short)
        )

    async def close(self) -> None:
        """Finish the queued commits, and close the file."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def get(self, key: str) -> KeyValue | None:
        return await self._reading().run(lambda connection: statements.get(connection, key))

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        return await self._reading().run(lambda connection: statements.list_page(connection, prefix, start, limit, at))

    async def commit(self, operations: Sequence[Operation]) -> int:
        check_operations(operations)
        return await self._writing().commit(tuple(operations))

    async def current_revision(self) -> int:
        self._writing()
        return self._ring.revision

    async def compact(self, revision: int) -> None:
        await self._writing().compact(revision)

    async def backup(self, target: Path | str) -> None:
        """Copy the latest state, with its history, to a new file while the store is in use."""
        path = Path(target)
        try:
            await self._reading().run(lambda connection: copy(connection, path))
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}: name a new file in a directory that this user may write to") from error

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        self._writing()
        if after < self._compacted:
            raise Compacted(after, self._compacted)
        if after > self._ring.revision:
            raise FutureRevision(after, self._ring.revision)
        while True:
            while after < self._ring.floor:  # older than the events in memory
                upto = self._ring.revision
                async for event in self._history(prefix, after, upto):
                    yield event
                after = upto
                yield Progress(after)
            # with progress at once if nothing is waiting
            subscription, patience = self._ring.subscribe(after), 0.0
            with suppress(Compacted):  # the reader was overtaken: continue from the table
                while True:
                    for event in await subscription.next(patience):
                        if event.key.startswith(prefix):
                            yield event
                    after, patience = subscription.revision, self._progress_interval
                    yield Progress(after)

    async def _history(self, prefix: str, after: int, upto: int) -> AsyncIterator[Event]:
        position = last_id(after)
        while True:
            job = partial(statements.history, prefix=prefix, after=position, upto=last_id(upto), limit=_HISTORY_PAGE)
            rows, more = await self._reading().run(job)
            for _, event in rows:
                yield event
            if not more:
                return
            position = rows[-1][0]

    def _publish(self, revision: int, events: Sequence[Event]) -> None:
        too_large = False
        for event in events:
            before = len(event.previous or b"")
            self._ring.append(event.revision, event, len(event.value) + before)
            too_large |= self._horizon.wrote(event.revision, before)
        self._ring.advance(revision)
        if too_large:
            self._compaction_due.set()

    def _short(self) -> None:
        self._compaction_due.set()
        if not self._reported_full:
            self._reported_full = True
            _log.warning("%s", full(self.path, "commits that store more are refused"))

    def _publish_compacted(self, revision: int) -> None:
        self._compacted = max(self._compacted, revision)

    async def _compact_regularly(self) -> None:
        while True:
            # wait_for of Python 3.11 loses a cancellation that comes as the event is set.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._retention.interval):
                    await self._compaction_due.wait()
            self._compaction_due.clear()
            target = self._horizon.compact_to(asyncio.get_running_loop().time(), self._ring.revision)
            if self._free_space is not None and self._free_space.short:  # compact history first
                target = self._ring.revision
            elif self._reported_full:
                self._reported_full = False
                _log.info("%s has room again", self.path)
            if target > self._compacted:
                try:
                    await self.compact(target)
                except StorageError as error:
                    _log.warning("Compaction of %s failed and will be tried again: %s", self.path, error)

    def _open(self) -> None:
        path = self.path.resolve()  # one file has one lock, under every name by which it is opened
        try:
            self._lock = FileLock(path.with_name(path.name + ".lock"))
            self._lock.acquire(str(path))
            self._connection = connect(path, self._synchronous, self._max_bytes)
            prepare(self._connection, path, check=self._check)
            self._readers = Readers(path, self._reader_count, self._synchronous)
            for revision, size in statements.history_sizes(self._connection):
                self._horizon.wrote(revision, size)
        except OSError as error:
            self._release()
            raise Unavailable(f"{path}: {error.strerror}: check that its directory exists and that this user may write there") from error
        except sqlite3.Error as error:
            self._release()
            raise translate(error, path) from error
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.stop()  # also closes the connection
        elif self._connection is not None:
            self._connection.close()
        if self._readers is not None:
            self._readers.close()
        if self._lock is not None:
            self._lock.release()

    async def _close(self) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if self._compactor is not None:
            self._compactor.cancel()
            await asyncio.wait([self._compactor])
        if self._writer is not None:
            await self._writer.finish()
        await asyncio.to_thread(self._release)
        self._ring.close(str(self._closed()))

    def _reading(self) -> Readers:
        if self._closing is not None or self._readers is None:
            raise self._closed()
        return self._readers

    def _writing(self) -> Writer:
        if self._closing is not None or self._writer is None:
            raise self._closed()
        return self._writer

    def _closed(self) -> Unavailable:
        return Unavailable(f"the store {self.path} is {'closed' if self._closing is not None else 'not started'}")
