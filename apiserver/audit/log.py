"""Write audit events to a file or stdout in a separate thread, so that requests never wait for it.

Events that do not fit into the bounded queue are dropped and counted. The file is opened again
after it was moved, so a log rotator needs no notification.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from pathlib import Path
from typing import BinaryIO

from apiserver.audit.event import Record, encode

log = logging.getLogger(__name__)

EVENTS = 10_000
SIZE = 64 * 1024 * 1024
"""The largest number of waiting events, and of their bytes."""
CLOSE_SECONDS = 5.0
GATHER_SECONDS = 0.1
"""The seconds for which events are collected before they are written together.

Waking a thread for each event would cost requests more than the event itself."""


class AuditLog:
    """The queue and the writer's thread. Call start, put and close.

    `path` is None for stdout. `events` counts written events, `errors` those that were dropped or
    failed. For `gather`, see GATHER_SECONDS."""

    def __init__(self, path: Path | None, *, max_events: int = EVENTS, max_size: int = SIZE, gather: float = GATHER_SECONDS) -> None:
        self.events = self.errors = 0
        self._path, self._max_events, self._max_size, self._gather = path, max_events, max_size, gather
        self._waiting: deque[Record] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._closing, self._failing = threading.Event(), False
        self._file: BinaryIO | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the file and start the thread. Raises OSError."""
        self._file = self._open()
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Queue the record, or drop it. Never waits for the disk."""
        with self._changed:
            if self._size + record.size > self._max_size:
                record = record.bare()  # in a full queue, objects are left out first
            if len(self._waiting) >= self._max_events or self._size + record.size > self._max_size:
                self.errors += 1
                return
            if not self._waiting:
                self._changed.notify()
            self._waiting.append(record)
            self._size += record.size

    def close(self) -> None:
        """Write the queued events, and wait some seconds for that. Blocks; do not call it on the
        event loop."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                log.error("the audit log was not written completely")

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
            self._closing.wait(self._gather)
            with self._changed:
                batch, self._waiting = self._waiting, deque()
                self._size = 0
            if not batch:
                break
            self._write(batch)
        if self._file is not None and self._path is not None:
            self._file.close()

    def _write(self, batch: deque[Record]) -> None:
        lines = []
        for record in batch:
            try:
                lines.append(encode(record))
            except Exception:
                log.exception("audit ID %s: an event cannot be encoded", record.audit_id)
        try:
            if self._file is None or self._moved(self._file):
                self._reopen()
            assert self._file is not None, "it was opened just now"
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            if not self._failing:
                log.error("audit events are lost: %s cannot be written: %s", self._path or "stdout", error.strerror)
            self._failing, lines = True, []
        else:
            self._failing = False
        with self._changed:
            self.events += len(lines)
            self.errors += len(batch) - len(lines)

    def _moved(self, file: BinaryIO) -> bool:
        if self._path is None:
            return False
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(file.fileno()))
        except FileNotFoundError:
            return True

    def _reopen(self) -> None:
        old, self._file = self._file, None
        if old is not None:
            old.close()
        self._file = self._open()

    def _open(self) -> BinaryIO:
        """Open the file. Only its owner can read it, because events may quote objects."""
        if self._path is None:
            return sys.stdout.buffer
        return open(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")
