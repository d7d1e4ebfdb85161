"""Cover backup and restore of whole files: what is refused, what survives, and that revisions are
never used again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from storage.base import Compacted, Conflict, Corrupt, Delete, Put, Unavailable
from storage.sqlite import SQLiteStore, offline
from storage.sqlite.offline import Contents, backup, discard_replaced, raise_revision, replaced_files, restore
from storage.testing.harness import collect, opened, put

if TYPE_CHECKING:
    from pathlib import Path


async def filled(path: Path, *keys: str) -> int:
    async with opened(SQLiteStore(path)) as store:
        return await put(store, *keys)


async def keys(path: Path) -> list[str]:
    async with opened(SQLiteStore(path)) as store:
        return [item.key for item in (await store.list("")).items]


async def test_backup_of_a_database_in_use(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        revision = await put(store, "/a", "/b")
        assert backup(tmp_path / "db", tmp_path / "copy") == Contents(2, revision)
        assert await put(store, "/c") == revision + 1
    assert sorted(os.listdir(tmp_path)) == ["copy", "db", "db.lock"]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


async def test_backup_from_a_volume_that_is_mounted_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (there := tmp_path / "volume").mkdir()
    monkeypatch.setattr(offline, "is_writable", lambda path: False)
    async with opened(SQLiteStore(there / "db")) as store:
        revision = await put(store, "/a", "/b")
        before = sorted(os.listdir(there))
        assert backup(there / "db", tmp_path / "copy") == Contents(2, revision)
        assert sorted(os.listdir(there)) == before
    with pytest.raises(Unavailable, match="start the server"):
        backup(there / "db", tmp_path / "other")


async def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    await filled(tmp_path / "db", "/a")
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(Unavailable, match="exists"):
        backup(tmp_path / "db", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


def test_what_is_not_there_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no such file"):
        backup(tmp_path / "db", tmp_path / "copy")
    (tmp_path / "db").write_bytes(b"")
    with pytest.raises(Corrupt, match="empty"):
        backup(tmp_path / "db", tmp_path / "copy")
    assert os.listdir(tmp_path) == ["db"]


async def test_a_damaged_database_gives_no_backup(tmp_path: Path) -> None:
    await filled(tmp_path / "db", "/a", "/b")
    with closing(sqlite3.connect(tmp_path / "db")) as connection, connection:
        connection.execute("DELETE FROM changes WHERE key = '/a'")
    with pytest.raises(Corrupt, match="/a"):
        backup(tmp_path / "db", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_backup_holds_nothing_of_what_was_left_out_or_deleted(tmp_path: Path) -> None:
    def value(name: str) -> bytes:
        return f"canary-{name} ".encode() * 1000  # several pages

    async with opened(SQLiteStore(tmp_path / "db")) as store:
        revision = await store.commit([Put("/key", value("first")), Put("/a", value("a")), Put("/b", value("b"))])
        for operation in (Put("/key", value("second")), Delete("/b"), Put("/key", value("third")), Put("/c", b"c")):
            revision = await store.commit([operation])
        await store.compact(revision)
        assert backup(tmp_path / "db", tmp_path / "copy", without=("/key", "/none")) == Contents(2, revision)
    content = (tmp_path / "copy").read_bytes()
    assert b"canary-a" in content
    assert [name for name in ("first", "second", "third") if f"canary-{name}".encode() in content] == []
    assert sorted(os.listdir(tmp_path)) == ["copy", "db", "db.lock"]
    restore(tmp_path / "copy", tmp_path / "restored")
    assert await keys(tmp_path / "restored") == ["/a", "/c"]
    assert b"canary-third" in (tmp_path / "db").read_bytes()


async def test_restore_never_uses_a_revision_again(tmp_path: Path) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    old = await filled(path, "/a", "/b")
    backup(path, copy)
    lost = await filled(path, "/a", "/c")
    done = restore(copy, path, force=True, margin=10)
    assert (done.backup, done.revision, done.replaced) == (Contents(2, old), lost + 10, tmp_path / "db.replaced")
    async with opened(SQLiteStore(path)) as store:
        assert [(item.key, item.revision) for item in (await store.list("")).items] == [("/a", old - 1), ("/b", old)]
        assert await store.current_revision() == lost + 10
        # The state at these revisions may be lost, and a watch without events would hide that.
        for seen in (old, lost, lost + 9):
            with pytest.raises(Compacted):
                await collect(store, "", seen, lost + 10)
        with pytest.raises(Conflict):
            await store.commit([Put("/a", b"", expected=lost - 1)])
        assert await put(store, "/d") == lost + 11
        assert [event.key for event in await collect(store, "", lost + 10, lost + 11)] == ["/d"]
    assert await keys(tmp_path / "db.replaced") == ["/a", "/b", "/c"]


async def test_restore_into_nothing_and_into_an_empty_database(tmp_path: Path) -> None:
    await filled(tmp_path / "from", "/a")
    backup(tmp_path / "from", tmp_path / "copy")
    assert restore(tmp_path / "copy", tmp_path / "db").replaced is None
    assert await keys(tmp_path / "db") == ["/a"]
    async with opened(SQLiteStore(tmp_path / "empty")):
        pass
    assert restore(tmp_path / "copy", tmp_path / "empty").replaced is None
    assert await keys(tmp_path / "empty") == ["/a"]


async def test_restore_leaves_alone_what_may_be_needed(tmp_path: Path) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    await filled(path, "/a")
    backup(path, copy)
    await filled(path, "/new")
    with pytest.raises(Unavailable, match=r"has 2 keys.*--force"):
        restore(copy, path)
    async with opened(SQLiteStore(path)):
        with pytest.raises(Unavailable, match="in use by process"):
            restore(copy, path, force=True)
    with pytest.raises(Unavailable, match="is the database itself"):
        restore(path, path, force=True)
    assert await keys(path) == ["/a", "/new"]


async def test_a_damaged_database_is_moved_aside_with_its_log(tmp_path: Path) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    await filled(path, "/a")
    backup(path, copy)
    path.write_bytes(b"damaged" * 1000)
    path.with_name("db-wal").write_bytes(b"its log")
    with pytest.raises(Unavailable, match="cannot be read"):
        restore(copy, path)
    for name in ("db.replaced", "db.replaced-2"):
        assert restore(copy, path, force=True).replaced == tmp_path / name
        assert not (tmp_path / "db-wal").exists()  # SQLite would apply it to the new database
    assert await keys(path) == ["/a"]


async def test_what_restores_have_set_aside_is_named_at_start_and_deleted_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    await filled(path, "/a")
    backup(path, copy)
    others = ["db.replaced-by-me", "db.replaced.gz", "other.replaced"]
    for name in others:
        (tmp_path / name).write_text("precious")
    aside = [restore(copy, path, force=True).replaced for _ in range(2)]
    assert replaced_files(path) == aside == [tmp_path / "db.replaced", tmp_path / "db.replaced-2"]
    async with opened(SQLiteStore(path)):
        assert [str(file) in caplog.text for file in aside] == [True, True]
        assert discard_replaced(path) == aside
    assert sorted(name for name in os.listdir(tmp_path) if "replaced" in name) == others
    path.rename(tmp_path / "db.replaced")
    with pytest.raises(Unavailable, match="nothing that was set aside is deleted"):
        discard_replaced(path)
    assert (tmp_path / "db.replaced").exists(), "the last one there is"


async def test_a_restore_without_room_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    await filled(path, "/a")
    backup(path, copy)
    restore(copy, path, force=True)
    await filled(path, "/b")
    free = copy.stat().st_size - 1
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(
        Unavailable, match=r"Nothing was changed: enlarge the volume. An earlier restore left db.replaced: .*--discard-replaced"
    ):
        restore(copy, path, force=True)
    assert await keys(path) == ["/a", "/b"]
    assert replaced_files(path) == [tmp_path / "db.replaced"]


async def test_a_damaged_backup_changes_nothing(tmp_path: Path) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    await filled(path, "/a", *(f"/{n}" for n in range(200)))
    backup(path, copy)
    copy.write_bytes(copy.read_bytes()[:-8192])
    with pytest.raises(Corrupt):
        restore(copy, path, force=True)
    assert len(await keys(path)) == 201
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


async def test_a_revision_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    revision = await filled(tmp_path / "db", "/a")
    with pytest.raises(ValueError, match="too large"):
        raise_revision(tmp_path / "db", 1 << 50)
    raise_revision(tmp_path / "db", 1)  # a smaller revision changes nothing
    assert await filled(tmp_path / "db", "/b") == revision + 1
    raise_revision(tmp_path / "db", 1000)
    assert await filled(tmp_path / "db", "/c") == 1001
