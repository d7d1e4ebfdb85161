"""Check that a storage that was away or restored is known to have been, and no other."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import pytest

from apiserver.client.clock import timestamp
from apiserver.registry.claims import heartbeat
from apiserver.registry.claims.heartbeat import AWAY, JUMP, KEY, NEVER, Heartbeat, gap
from storage.base import KeyValue, Put, Unavailable
from storage.sqlite import SQLiteStore
from storage.sqlite.offline import backup, restore
from tests.crashes.memory import Data, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1767225600


def text(seconds: int) -> str:
    """Return START and some seconds as a timestamp."""
    return timestamp(datetime.fromtimestamp(START + seconds, UTC))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets the server's clock."""

    def set_(seconds: int) -> None:
        monkeypatch.setattr(heartbeat, "now", lambda: text(seconds))

    set_(0)
    return set_


def record(revision: int) -> KeyValue:
    return KeyValue(KEY, orjson.dumps({"time": text(0), "since": NEVER}), revision)


@pytest.mark.parametrize(
    ("seconds", "revision", "found"),
    [
        (60, 8, None),
        (AWAY, 7 + JUMP, None),
        (AWAY + 1, 7, "its last heartbeat was at"),
        (-AWAY - 1, 7, "its last heartbeat was at"),
        (0, 8 + JUMP, "a backup was restored"),
    ],
)
def test_a_gap_is_known_by_the_time_and_by_the_revision(seconds: int, revision: int, found: str | None) -> None:
    said = gap(record(7), revision, text(seconds))
    assert said is None if found is None else found in (said or "")


def test_a_storage_without_a_heartbeat_was_away() -> None:
    assert gap(None, 1, text(0)) == "it has no heartbeat"


async def objects(store: MemoryStore) -> None:
    await store.commit([Put("/server/serving-authority", b"")])
    await store.commit([Put("/workload.metal3.io/workloads/a/b", b"")])


async def test_a_new_storage_extends_no_lease(at: Callable[[int], None]) -> None:
    store = MemoryStore(Data())
    await store.start()
    await store.commit([Put("/server/serving-authority", b"")])
    beating = Heartbeat(store)
    await beating.beat()
    await objects(store)
    at(AWAY)
    await beating.beat()
    at(2 * AWAY)
    assert await Heartbeat(store).since() == NEVER
    await store.close()


async def test_a_storage_of_an_earlier_version_counts_from_now(at: Callable[[int], None]) -> None:
    store = MemoryStore(Data())
    await store.start()
    await objects(store)
    assert await Heartbeat(store).since() == text(0)
    await store.close()


async def test_a_gap_is_remembered_by_all_servers(at: Callable[[int], None], caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(Data())
    await store.start()
    one, other = Heartbeat(store), Heartbeat(store)
    await one.beat()
    at(AWAY + 1)
    assert await other.since() == text(AWAY + 1), "also before the first heartbeat after the gap"
    with caplog.at_level(logging.WARNING, heartbeat.__name__):
        await asyncio.gather(one.beat(), other.beat())
    assert "get more time" in caplog.text
    at(2 * AWAY)
    await other.beat()
    at(3 * AWAY)
    assert (await one.since(), await other.since()) == (text(AWAY + 1),) * 2
    await store.close()


async def test_a_storage_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(Data())
    await store.start()
    asked, answers = asyncio.Event(), iter([Unavailable("no"), None])

    async def beat(self: Heartbeat) -> None:
        if (error := next(answers)) is not None:
            raise error
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Heartbeat, "beat", beat)
    task = asyncio.create_task(Heartbeat(store, period=0.0).run())
    await asyncio.wait_for(asked.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.close()


async def test_a_restored_database_was_away_however_new_its_backup_is(tmp_path: Path, at: Callable[[int], None]) -> None:
    path, file = tmp_path / "store.db", tmp_path / "backup.db"
    store = SQLiteStore(path)
    await store.start()
    await Heartbeat(store).beat()
    await store.commit([Put("/workload.metal3.io/workloads/a/b", b"")])
    await asyncio.to_thread(backup, path, file)
    await store.close()
    await asyncio.to_thread(restore, file, path, force=True)
    at(1)
    again = SQLiteStore(path)
    await again.start()
    assert await Heartbeat(again).since() == text(1)
    await Heartbeat(again).beat()
    at(2)
    assert await Heartbeat(again).since() == text(1)
    await again.close()
