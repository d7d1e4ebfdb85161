"""Implement `metal3-workloads backup`: copy a SQLite database, or an etcd, while servers run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from apiserver.cli.numbers import between
from apiserver.cli.progress import add_output, console, print_json, reporting
from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.cli.storage import ETCD, opened_etcd, sqlite_path
from apiserver.cli.storageflags import size
from apiserver.server.servingcert import AUTHORITY_KEY
from storage.base import StorageError
from storage.keys import prefix_end
from storage.sqlite.offline import Contents, backup
from storage.sqlite.rotation import DATABASE, SNAPSHOT, Rotated, backups, rotate, rotated

Result = TypeVar("Result")

OWN = "/server/"
"""The prefix of the keys that belong to servers and to no object, such as AUTHORITY_KEY."""
KEEP = 28
"""The number of backups to keep by default: a week's, with one every six hours."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Copies the database as it is at one moment, checks the copy and makes it durable. The file has all Workloads, Hosts and "
        "claims, and no Secrets: protect it like the database. The key of a self-made serving certificate's authority is left out: a "
        "server that starts with a restored backup creates a new one. Of an etcd, the file is a snapshot, as `etcdctl snapshot save` "
        "writes it: it has everything that is in this etcd, and that key."
    )
    parser.add_argument("--storage", required=True, metavar="URL", help="the storage, as for serve: sqlite:///PATH, etcds://HOST:PORT...")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("file", type=Path, metavar="FILE", nargs="?", help="the file to create; must not exist yet")
    target.add_argument("--directory", type=Path, metavar="DIR", help="the folder to create a file in, whose name is the time (UTC)")
    help_ = f"with --directory: delete all but the N newest backups there, once the new one is durable (default: {KEEP})"
    parser.add_argument("--keep", type=between(1, 10_000, "how many backups to keep"), metavar="N", help=help_)
    help_ = "with --directory: bytes that the backups may have there, such as 9Gi (default: its disk); the oldest make room for a new one"
    parser.add_argument("--max-bytes", type=size, default=0, metavar="SIZE", help=help_)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Create the backup. Raises UsageError."""
    if (arguments.keep is not None or arguments.max_bytes) and arguments.directory is None:
        raise UsageError("--keep and --max-bytes are for --directory: name the folder of the backups")
    back_up = _back_up_etcd if arguments.storage.startswith(ETCD) else _back_up_database
    try:
        with reporting("backup", console(arguments, stderr=True)):
            made = back_up(arguments)
    except StorageError as error:
        raise UsageError(str(error)) from None
    if made is None:
        return 1
    for old in made.deleted:
        print(f"{old}: deleted", file=sys.stderr)
    print(f"{made.file or 'no file'}: {made.text}", file=sys.stderr)
    print_json(arguments, {"file": made.file, **made.contents, "deleted": made.deleted})
    return 0


@dataclass(frozen=True, slots=True)
class Made:
    """A backup, its content as text and by name, and the backups that were deleted for it."""

    file: Path | None
    text: str
    contents: Mapping[str, int]
    deleted: Sequence[Path] = ()


def _back_up_database(arguments: argparse.Namespace) -> Made:
    path = sqlite_path(arguments.storage)
    if arguments.directory is None:
        return _of_database(arguments.file, backup(path, arguments.file, without=(AUTHORITY_KEY,)))
    done = rotate(path, arguments.directory, **_limits(arguments), without=(AUTHORITY_KEY,), servers=OWN)
    _tell_if_cramped(arguments, done, DATABASE)
    return _of_database(done.file, done.contents, done.deleted)


def _of_database(file: Path, contents: Contents, deleted: Sequence[Path] = ()) -> Made:
    return Made(file, f"{contents.keys} keys as of revision {contents.revision}, checked", asdict(contents), deleted)


def _back_up_etcd(arguments: argparse.Namespace) -> Made | None:
    """Save a snapshot. Returns None if the command was stopped. Raises UsageError.

    A snapshot of a store without objects replaces no other snapshot."""
    if arguments.directory is None:
        size = _run(_save(arguments.storage, arguments.file))
        return size if size is None else _of_etcd(arguments.file, size)
    if (measured := _run(_measure(arguments.storage))) is None:
        return None
    need, has_objects = measured
    if not has_objects:
        if backups(arguments.directory, SNAPSHOT):
            raise UsageError(
                f"the store has no objects, but {arguments.directory} has backups: all of them stay as they are. If the objects were lost, "
                "restore the newest one; if they were deleted on purpose, name an empty folder for new backups"
            )
        return Made(None, "the store has no objects yet", {"bytes": 0})

    def write(target: Path, _: Path | None) -> int:
        if (size := _run(_save(arguments.storage, target))) is None:
            raise UsageError("stopped before the end: no backup was deleted; run it again")
        return size

    done = rotated(arguments.directory, SNAPSHOT, write, need=need, **_limits(arguments))
    _tell_if_cramped(arguments, done, SNAPSHOT)
    return _of_etcd(done.file, done.contents, done.deleted)


def _of_etcd(file: Path, size: int, deleted: Sequence[Path] = ()) -> Made:
    return Made(file, f"a snapshot of {size} bytes, checked", {"bytes": size}, deleted)


async def _measure(url: str) -> tuple[int, bool]:
    """Return the bytes that a snapshot needs, and whether the store has objects."""
    async with opened_etcd(url) as store:
        used = (await store.measure()).size
        before = (await store.list("/", limit=1)).items
        behind = (await store.list("/", start=prefix_end(OWN), limit=1)).items
        has_objects = bool(behind) or any(not item.key.startswith(OWN) for item in before)
        # The database grows while it is read.
        return used + used // 8 + (1 << 20), has_objects


async def _save(url: str, file: Path) -> int:
    async with opened_etcd(url) as store:
        return await store.save_snapshot(file)


def _run(work: Coroutine[object, object, Result]) -> Result | None:
    """Return the result, or None if a signal stopped the work."""
    results: list[Result] = []

    async def main() -> None:
        results.append(await work)

    run_until_stopped(main)
    return results[0] if results else None


def _limits(arguments: argparse.Namespace) -> dict[str, Any]:
    keep = KEEP if arguments.keep is None else arguments.keep
    return {"keep": keep, "now": datetime.now(UTC), "most": arguments.max_bytes}


def _tell_if_cramped(arguments: argparse.Namespace, done: Rotated[Any], suffix: str) -> None:
    if done.cramped:
        print(
            f"{arguments.directory}: there is room for {len(backups(arguments.directory, suffix))} backups, and "
            f"{KEEP if arguments.keep is None else arguments.keep} are wanted: enlarge it, or lower --keep",
            file=sys.stderr,
        )
