"""Run backup, restore and migrate as users type them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.cli.main import main
from apiserver.registry.claims.heartbeat import JUMP
from apiserver.registry.claims.heartbeat import KEY as HEARTBEAT
from apiserver.server.servingcert import AUTHORITY_KEY
from storage.base import Put
from storage.sqlite import SQLiteStore
from storage.testing.harness import opened, put
from storage.transfer import MARK

if TYPE_CHECKING:
    from pathlib import Path


def fill(path: Path, *keys: str) -> int:
    async def run() -> int:
        async with opened(SQLiteStore(path)) as store:
            return await put(store, *keys)

    return asyncio.run(run())


def items(path: Path) -> dict[str, int]:
    async def run() -> dict[str, int]:
        async with opened(SQLiteStore(path)) as store:
            return {item.key: item.revision for item in (await store.list("")).items}

    return asyncio.run(run())


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_out_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    revision = fill(path, "/a", "/b")
    assert main(["backup", "--storage", url(path), str(copy)]) == 0
    assert f"2 keys as of revision {revision}" in capsys.readouterr().err
    later = fill(path, "/lost")
    assert main(["restore", str(copy), "--storage", url(path)]) == 1
    assert "has 3 keys: name another file, or give --force" in capsys.readouterr().err
    assert main(["restore", str(copy), "--storage", url(path), "--force", "--margin", "2000000"]) == 0
    said = capsys.readouterr().err
    assert f"The next revision is {later + 2_000_001}" in said
    assert f"{path}.replaced" in said
    assert [*items(path)] == ["/a", "/b"]
    assert fill(path, "/new") == later + 2_000_001


def test_restore_says_what_to_do_with_a_damaged_backup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "copy").write_bytes(b"no database " * 1000)
    assert main(["restore", str(tmp_path / "copy"), "--storage", url(tmp_path / "db")]) == 1
    assert "take an older one" in capsys.readouterr().err
    assert not (tmp_path / "db").exists()


def test_a_restore_that_servers_could_not_notice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Leases get more time only if the revision jumps."""
    for margin in ("0", str(JUMP)):
        with pytest.raises(SystemExit):
            main(["restore", str(tmp_path / "copy"), "--storage", url(tmp_path / "db"), "--margin", margin])
        assert f"the margin is a number from {JUMP + 1} to" in capsys.readouterr().err


def test_a_folder_of_backups_and_the_newest_of_them_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = tmp_path / "db", tmp_path / "backups"
    folder.mkdir()
    for key in ("/a", "/b", "/c"):
        fill(path, key, AUTHORITY_KEY)
        assert main(["backup", "--storage", url(path), "--directory", str(folder), "--keep", "2"]) == 0
    oldest, latest = sorted(folder.glob("*.db"))
    said = capsys.readouterr().err
    assert f"{latest}: 3 keys as of revision" in said
    assert said.count(": deleted") == 1
    assert AUTHORITY_KEY.encode() not in latest.read_bytes()
    path.unlink()
    assert main(["restore", str(folder), "--storage", url(path)]) == 0
    said = capsys.readouterr().err
    assert str(oldest) in said
    assert f"3 keys of {latest}" in said
    assert [*items(path)] == ["/a", "/b", "/c"]
    assert main(["restore", str(oldest), "--storage", url(path), "--force"]) == 0
    assert [*items(path)] == ["/a", "/b"]


def test_a_store_in_which_only_a_server_has_written_takes_no_backups_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = tmp_path / "db", tmp_path / "backups"
    folder.mkdir()
    backup = ["backup", "--storage", url(path), "--directory", str(folder), "--keep", "1"]
    fill(path, AUTHORITY_KEY, HEARTBEAT)
    assert main(backup) == 0
    fill(path, "/a")
    assert main(backup) == 0
    (kept,) = folder.glob("*.db")
    path.unlink()
    fill(path, AUTHORITY_KEY, HEARTBEAT)
    capsys.readouterr()
    assert main(backup) == 1
    assert "has no objects" in capsys.readouterr().err
    assert [*folder.glob("*.db")] == [kept]


def test_a_folder_with_room_for_fewer_backups_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = tmp_path / "db", tmp_path / "backups"
    folder.mkdir()
    fill(path, *(f"/{number:0400}" for number in range(2000)))
    for _ in range(8):
        assert main(["backup", "--storage", url(path), "--directory", str(folder), "--max-bytes", "16Mi"]) == 0
    said = capsys.readouterr().err
    kept = len([*folder.glob("*.db")])
    assert 1 < kept < 8
    assert said.count(": deleted") == 8 - kept
    assert f"{folder}: there is room for {kept} backups, and 28 are wanted: enlarge it, or lower --keep" in said


def test_what_a_restore_has_set_aside_is_deleted_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    fill(path, "/a")
    assert main(["backup", "--storage", url(path), str(copy)]) == 0
    assert main(["restore", str(copy), "--storage", url(path), "--force"]) == 0
    assert f"metal3-workloads restore --discard-replaced --storage={url(path)}" in capsys.readouterr().err
    for wrong in ([], [str(copy), "--discard-replaced"]):
        assert main(["restore", *wrong, "--storage", url(path)]) == 1
    assert "either the backup to restore" in capsys.readouterr().err
    assert path.with_name("db.replaced").exists()
    assert main(["restore", "--discard-replaced", "--storage", url(path)]) == 0
    assert f"{path}.replaced: deleted" in capsys.readouterr().err
    assert not path.with_name("db.replaced").exists()
    assert [*items(path)] == ["/a"]


def test_what_is_asked_of_a_folder_of_backups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup = ["backup", "--storage", url(tmp_path / "db")]
    for wrong in (
        [],
        ["file", "--directory", "folder"],
        ["--directory", "folder", "--keep", "0"],
        ["--directory", "folder", "--keep", "x"],
        ["--directory", "folder", "--max-bytes", "2"],
    ):
        with pytest.raises(SystemExit):
            main([*backup, *wrong])
    capsys.readouterr()
    assert main([*backup, str(tmp_path / "file"), "--keep", "2"]) == 1
    assert "are for --directory" in capsys.readouterr().err
    assert main([*backup, str(tmp_path / "file"), "--max-bytes", "2Mi"]) == 1
    assert "are for --directory" in capsys.readouterr().err
    assert main(["restore", str(tmp_path), "--storage", url(tmp_path / "db")]) == 1
    assert "no backup in it" in capsys.readouterr().err


@pytest.mark.parametrize(("storage", "said"), [("sqlite:////none/db", "make it first"), ("other://x", "give sqlite")])
def test_storages_that_cannot_be_backed_up_are_refused(storage: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "--storage", storage, str(tmp_path / "copy")]) == 1
    assert said in capsys.readouterr().err


def test_a_migration_for_a_backup_leaves_the_serving_authority_out(tmp_path: Path) -> None:
    source, target, whole = tmp_path / "source", tmp_path / "target", tmp_path / "whole"
    fill(source, "/a", AUTHORITY_KEY, "/b")
    for to, *flags in ((target, "--without-serving-key"), (target.with_name("whole"),)):
        assert main(["migrate", "--from", url(source), "--to", url(to), *flags]) == 0
    assert [*items(target)] == ["/a", "/b"]
    assert AUTHORITY_KEY.encode() not in b"".join(part.read_bytes() for part in tmp_path.glob("target*"))
    assert items(whole).keys() == items(source).keys()


def test_migrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    revision = fill(source, *(f"/{n}" for n in range(150)))
    assert main(["migrate", "--from", url(source), "--to", url(target)]) == 0
    assert "keys: 150 of 150" in capsys.readouterr().err
    assert items(target).keys() == items(source).keys()
    assert min(items(target).values()) > revision
    assert main(["migrate", "--from", url(source), "--to", url(target)]) == 1
    assert "the target has 150 keys" in capsys.readouterr().err


def test_migrate_continues_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    fill(source, "/a", "/b")

    async def begin() -> None:
        async with opened(SQLiteStore(target)) as store:
            await store.commit([Put(MARK, b""), Put("/a", b"v")])

    asyncio.run(begin())
    assert main(["migrate", "--from", url(source), "--to", url(target)]) == 0
    assert "continuing: 1 of 2 keys are there" in capsys.readouterr().err
    assert [*items(target)] == ["/a", "/b"]


def test_migrate_from_nothing_or_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = url(tmp_path / "db")
    assert main(["migrate", "--from", same, "--to", same]) == 1
    assert "are the same" in capsys.readouterr().err
    assert main(["migrate", "--from", same, "--to", url(tmp_path / "target")]) == 1
    assert "no such database" in capsys.readouterr().err
    assert not (tmp_path / "db").exists()


def test_each_transfer_prints_its_result_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder, other = tmp_path / "db", tmp_path / "backups", tmp_path / "other"
    folder.mkdir()
    revision = fill(path, "/a", "/b")

    def result(*command: str) -> dict[str, Any]:
        assert main([*command, "-o", "json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    made = result("backup", "--storage", url(path), "--directory", str(folder))
    (file,) = folder.glob("*.db")
    assert made == {"file": str(file), "keys": 2, "revision": revision, "deleted": []}
    restored = result("restore", str(file), "--storage", url(path), "--force", "--margin", str(JUMP + 1))
    replaced = f"{path}.replaced"
    after = {"nextRevision": revision + JUMP + 2, "replaced": replaced}
    assert restored == {"database": str(path), "file": str(file), "keys": 2, "revision": revision, **after}
    assert result("restore", "--discard-replaced", "--storage", url(path)) == {"deleted": [replaced]}
    copied = result("migrate", "--from", url(path), "--to", url(other))
    assert (copied["keys"], copied["fromRevision"]) == (2, revision + JUMP + 1)
    assert copied["revision"] > copied["fromRevision"]
