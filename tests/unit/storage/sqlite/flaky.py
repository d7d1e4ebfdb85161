"""Provide a connection on which chosen statements fail, and the store that writes through it."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from storage.sqlite import SQLiteStore
from storage.testing.harness import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


class FlakyConnection(sqlite3.Connection):
    """A connection on which chosen statements fail.

    `fail[statement] = error`: raise the error, `times` times, instead of running the statement or,
    with `late`, after running it. `ran`: the statements that were run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fail: dict[str, sqlite3.Error] = {}
        self.late, self.times = False, 1
        self.ran: list[str] = []

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self.ran.append(sql)
        error = self.fail.get(sql)
        if error is not None:
            self.times -= 1
            if self.times <= 0:
                del self.fail[sql]
                self.times = 1
        if error is not None and not self.late:
            raise error
        cursor = super().execute(sql, *args)
        if error is not None:
            raise error
        return cursor


def error(code: int, message: str = "trouble") -> sqlite3.OperationalError:
    made = sqlite3.OperationalError(message)
    made.sqlite_errorcode = code
    return made


@asynccontextmanager
async def flaky(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[SQLiteStore, FlakyConnection]]:
    """Yield a store, and the connection that it writes on."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=FlakyConnection, **kwargs))
    async with opened(SQLiteStore(path, synchronous="off")) as store:
        assert isinstance(store, SQLiteStore)
        connection = store._connection
        assert isinstance(connection, FlakyConnection)
        yield store, connection
