"""A few threads that read, each job on a connection of its own, at one consistent state."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from storage.base import Unavailable
from storage.sqlite.errors import translate
from storage.sqlite.schema import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage.sqlite.schema import Synchronous

__all__ = ["Readers"]

T = TypeVar("T")


class Readers:
    """`count` connections and as many threads. Opening and closing block."""

    def __init__(self, path: Path, count: int, synchronous: Synchronous) -> None:
        self._path = path
        self._connections: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        try:
            for _ in range(count):
                connection = connect(path, synchronous)  # the last one to be closed writes a checkpoint
                self._connections.put(connection)
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            self._close_connections()
            raise
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="sqlite-reader")

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The job's result; it sees one state of the database. Raises Unavailable, Corrupt and what the job raises."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._job, job)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        except RuntimeError as error:  # "cannot schedule new futures after shutdown"
            raise Unavailable(f"{self._path} is closed") from error

    def close(self) -> None:
        """Finish the jobs that run, and close."""
        self._threads.shutdown()
        self._close_connections()

    def _job(self, job: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connections.get()
        try:
            connection.execute("BEGIN")
            try:
                return job(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            self._connections.put(connection)

    def _close_connections(self) -> None:
        while not self._connections.empty():
            self._connections.get().close()
