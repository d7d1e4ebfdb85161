"""Open the Store of --storage. Only this module knows which backends exist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.cli.running import UsageError
from storage.base import Store
from storage.sqlite import SQLiteStore

if TYPE_CHECKING:
    from storage.etcd import EtcdStore

PREFIX = "sqlite:///"
ETCD = ("etcd://", "etcds://")


def open_store(url: str, flag: str = "--storage", max_bytes: int = 0) -> Store:
    """Return the store, not yet started. Raises UsageError.

    As in SQLAlchemy, sqlite:///data/db is relative and sqlite:////var/lib/db absolute. For etcd://
    and etcds://, see storage.etcd.address. `flag` is the flag's name for messages. For `max_bytes`,
    see SQLiteStore."""
    if url.startswith(ETCD):
        if max_bytes:
            raise UsageError("--storage-max-bytes is for SQLite: give etcd its --quota-backend-bytes instead")
        return _etcd(url, flag)
    return SQLiteStore(sqlite_path(url, flag), max_bytes=max_bytes)


@asynccontextmanager
async def opened_etcd(url: str, flag: str = "--storage") -> AsyncIterator[EtcdStore]:
    """Yield the store of an etcd:// or etcds:// URL, started. Raises UsageError and StorageError."""
    store = _etcd(url, flag)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def _etcd(url: str, flag: str) -> EtcdStore:
    # loads slowly, so only commands that use it should wait
    from storage.etcd.address import store_at

    try:
        return store_at(url)
    except (ValueError, OSError) as error:
        raise UsageError(f"{flag} {_shown(url)}: {error}") from None


def sqlite_path(url: str, flag: str = "--storage") -> Path:
    """Return the database file of a sqlite:/// URL, whose folder exists. Raises UsageError."""
    if not url.startswith(PREFIX) or url == PREFIX:
        raise UsageError(f"{flag} {_shown(url)}: give sqlite:///PATH (four slashes for an absolute path) or etcd://HOST:PORT")
    path = Path(url.removeprefix(PREFIX))
    if path.is_dir():
        raise UsageError(f"{flag} {url}: that is a folder; name the database file in it")
    if not path.parent.is_dir():
        raise UsageError(f"{flag} {url}: there is no folder {path.parent}; make it first")
    return path


def _shown(url: str) -> str:
    """Return the URL without the parts that may contain passwords."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://…" if separator else "(no URL)"
