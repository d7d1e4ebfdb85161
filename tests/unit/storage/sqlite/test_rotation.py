"""Cover backups in a directory: their order, which are deleted, and what is never deleted."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from storage.base import Corrupt, Delete, Put, Unavailable
from storage.sqlite import SQLiteStore
from storage.sqlite.lock import FileLock
from storage.sqlite.offline import Contents, has_objects
from storage.sqlite.rotation import backups, displaced, name_at, newest, rotate, surplus
from storage.testing.harness import opened, put

NOW = datetime(2026, 3, 29, 1, 59, 58, 500_000, tzinfo=UTC)


def named(*times: str) -> list[Path]:
    return [Path(f"metal3-workloads-{time}.db") for time in times]


async def fill(path: Path, *keys: str) -> int:
    async with opened(SQLiteStore(path)) as store:
        return await put(store, *keys)


async def empty(path: Path) -> None:
    async with opened(SQLiteStore(path)) as store:
        await store.commit([Delete(item.key) for item in (await store.list("")).items])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backups"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("older", "now", "expected"),
    [
        ((), NOW, "20260329T015958Z"),
        ((), NOW.astimezone(timezone(timedelta(hours=2))), "20260329T015958Z"),
        (("20260329T015900Z",), NOW, "20260329T015958Z"),
        (("20260329T015958Z",), NOW, "20260329T015959Z"),  # two within a second
        (("20270101T000000Z", "20260329T015900Z"), NOW, "20270101T000001Z"),  # the clock was set back
    ],
)
def test_a_name_sorts_after_all_older_ones(older: tuple[str, ...], now: datetime, expected: str) -> None:
    assert f"{name_at(now, named(*older))}.db" == named(expected)[0].name
    assert [*named(*sorted(older)), Path(f"{name_at(now, named(*older))}.db")] == sorted([*named(*older), *named(expected)])


@pytest.mark.parametrize(("keep", "expected"), [(1, 2), (2, 1), (3, 0), (4, 0)])
def test_the_oldest_are_surplus(keep: int, expected: int) -> None:
    found = named("20260101T000000Z", "20260102T000000Z", "20260103T000000Z")
    assert surplus(found, keep) == found[:expected]


@pytest.mark.parametrize(
    ("sizes", "room", "expected"),
    [
        ([], 10, 0),
        ([], 9, None),
        ([5, 5], 10, 0),
        ([5, 5, 5], 9, 1),
        ([5, 5, 5], 1, 2),
        ([5, 5, 5], -1, None),  # the newest one never makes room
        ([5], 9, None),
        ([1, 20, 5], 9, 1),
        ([0, 20, 5], 9, 2),
    ],
)
def test_the_oldest_make_room_and_the_newest_stays(sizes: list[int], room: int, expected: int | None) -> None:
    assert displaced(sizes, room, 10) == expected


async def test_backups_of_a_database_that_grows_never_exceed_their_room(tmp_path: Path, folder: Path) -> None:
    most, largest = 8 << 20, 0
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        for number in range(8):
            await store.commit([Put(f"/{number}", bytes(200_000))])
            done = rotate(tmp_path / "db", folder, keep=100, now=NOW + timedelta(hours=number), most=most)
            largest = max(largest, len(backups(folder)))
            assert done.cramped == (done.deleted != [])
            assert newest(folder) == done.file
            assert sum(file.stat().st_size for file in backups(folder)) <= most
    assert done.cramped
    assert 1 < len(backups(folder)) < largest, "a larger database leaves room for fewer"


async def test_a_database_that_does_not_fit_beside_the_newest_backup_deletes_none(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/a")
    kept = [rotate(tmp_path / "db", folder, keep=5, now=NOW + timedelta(hours=hour)).file for hour in range(2)]
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        for number in range(8):
            await store.commit([Put(f"/{number}", bytes(500_000))])
    with pytest.raises(Unavailable, match=r"Nothing was deleted: give the backups \d+Mi or more"):
        rotate(tmp_path / "db", folder, keep=5, now=NOW + timedelta(hours=9), most=4 << 20)
    assert backups(folder) == kept


async def test_the_newest_are_kept(tmp_path: Path, folder: Path) -> None:
    made: list[Path] = []
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        for number in range(4):
            revision = await put(store, f"/{number}")
            done = rotate(tmp_path / "db", folder, keep=2, now=NOW + timedelta(hours=number))
            assert done.contents == Contents(number + 1, revision)
            assert has_objects(done.file)
            assert done.deleted == made[-2:-1]
            made.append(done.file)
    assert backups(folder) == made[-2:]
    assert newest(folder) == made[-1]
    assert sorted(os.listdir(folder)) == [".lock", *(file.name for file in made[-2:])]
    assert {file.stat().st_mode & 0o777 for file in backups(folder)} == {0o600}


async def test_other_files_are_left_alone_and_drafts_of_killed_processes_are_not(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/a")
    others = ["copy.db", "metal3-workloads-20260231T000000Z.db", "metal3-workloads-20260101T000000Z.db.old", "lost+found"]
    for name in others:
        (folder / name).write_text("precious")
    for kind in ("whole", "whole-wal", "draft"):
        (folder / f".metal3-workloads-20260101T000000Z.db.1.{kind}").write_text("half")
    done = rotate(tmp_path / "db", folder, keep=1, now=NOW)
    assert done.deleted == []
    assert sorted(os.listdir(folder)) == sorted([".lock", *others, done.file.name])


async def test_a_backup_that_fails_deletes_nothing(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/a")
    kept = rotate(tmp_path / "db", folder, keep=1, now=NOW).file
    (tmp_path / "damaged").write_bytes(b"no database " * 1000)
    with pytest.raises(Corrupt):
        rotate(tmp_path / "damaged", folder, keep=1, now=NOW + timedelta(hours=1))
    with pytest.raises(Unavailable, match="no such file"):
        rotate(tmp_path / "none", folder, keep=1, now=NOW + timedelta(hours=1))
    assert backups(folder) == [kept]


async def test_a_store_that_lost_everything_takes_no_backups_place(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/key", "/a")
    kept = rotate(tmp_path / "db", folder, keep=1, now=NOW, without=("/key",)).file
    await fill(tmp_path / "new", "/key")
    with pytest.raises(Unavailable, match="restore that backup"):
        rotate(tmp_path / "new", folder, keep=1, now=NOW + timedelta(hours=1), without=("/key",))
    assert sorted(os.listdir(folder)) == [".lock", kept.name]
    kept.write_bytes(b"damaged, but nobody knows by what" * 100)
    with pytest.raises(Unavailable, match="restore that backup"):
        rotate(tmp_path / "new", folder, keep=1, now=NOW + timedelta(hours=1), without=("/key",))
    rotate(tmp_path / "db", folder, keep=2, now=NOW + timedelta(hours=1))
    assert backups(folder)[0] == kept


async def test_a_store_that_has_nothing_yet_is_backed_up(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/a")
    await empty(tmp_path / "db")
    for hour in range(2):
        assert rotate(tmp_path / "db", folder, keep=1, now=NOW + timedelta(hours=hour)).contents.keys == 0
    assert len(backups(folder)) == 1


async def test_one_backup_at_a_time_is_written(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/a")
    lock = FileLock(folder / ".lock")
    lock.acquire("backups")
    with pytest.raises(Unavailable, match=f"in use by process {os.getpid()}: .* writing another backup"):
        rotate(tmp_path / "db", folder, keep=1, now=NOW)
    lock.release()
    rotate(tmp_path / "db", folder, keep=1, now=NOW)


async def test_a_missing_or_empty_folder_is_named(tmp_path: Path, folder: Path) -> None:
    await fill(tmp_path / "db", "/a")
    with pytest.raises(Unavailable, match="no backup in it"):
        newest(folder)
    for call in (lambda: newest(tmp_path / "none"), lambda: rotate(tmp_path / "db", tmp_path / "none", keep=1, now=NOW)):
        with pytest.raises(Unavailable, match="none: there is no such directory"):
            call()
    (folder / ".lock").mkdir()
    with pytest.raises(Unavailable, match="Is a directory"):
        rotate(tmp_path / "db", folder, keep=1, now=NOW)
