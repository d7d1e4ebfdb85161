"""Run read jobs in a few threads, each job on its own connection and one consistent state."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from storage.base import Unavailable
from storage.sqlite.errors import translate
from storage.sqlite.schema import Synchronous, connect

T = TypeVar("T")


class Readers:
    """A pool of `count` connections and threads. Opening and closing it block."""

    def __init__(self, path: Path, count: int, synchronous: Synchronous) -> None:
        self._path = path
        self._connections: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        try:
            for _ in range(count):
                # the connection that is closed last writes a checkpoint
                connection = connect(path, synchronous)
                self._connections.put(connection)
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            self._close_connections()
            raise
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="sqlite-reader")

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of `job`, which sees one state of the database.

        Raises Unavailable, Corrupt and the errors of the job."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._job, job)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        except RuntimeError as error:  # "cannot schedule new futures after shutdown"
            raise Unavailable(f"{self._path} is closed") from error

    def close(self) -> None:
        """Finish the running jobs, and close the connections."""
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
