"""Keep the newest backups of a storage in a directory.

A backup's name is the time at which it was taken, with the suffix of its kind. Everything here
blocks.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from storage.base import Corrupt, Unavailable
from storage.sqlite.lock import FileLock
from storage.sqlite.offline import Contents, backup, has_objects

PREFIX = "metal3-workloads-"
DATABASE, SNAPSHOT = ".db", ".snapshot"
"""The suffixes of SQLite's and of etcd's backups."""
_NAME = re.compile(rf"{PREFIX}\d{{8}}T\d{{6}}Z")
_FORMAT = f"{PREFIX}%Y%m%dT%H%M%SZ"
_SLACK = 1 << 20
"""The number of bytes that a backup may need beyond those of the database."""


Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Rotated(Generic[Content]):
    """The outcome: the new backup, its content, and the backups that were deleted for it.

    `cramped` is true if some of these were deleted before the new one was written, because there
    was no room beside them."""

    file: Path
    contents: Content
    deleted: Sequence[Path]
    cramped: bool


def backups(directory: Path, suffix: str = DATABASE) -> list[Path]:
    """Return the backups in a directory, the oldest first. Raises Unavailable."""
    if not directory.is_dir():
        raise Unavailable(f"{directory}: there is no such directory: make it, or mount the volume of the backups there")
    return sorted(path for path in directory.iterdir() if path.suffix == suffix and _time(path) is not None)


def newest(directory: Path) -> Path:
    """Return the newest backup in a directory. Raises Unavailable if there is none."""
    found = backups(directory)
    if not found:
        raise Unavailable(f"{directory}: there is no backup in it: {_FORMAT}{DATABASE} is what their names look like")
    return found[-1]


def rotate(
    path: Path, directory: Path, *, keep: int, now: datetime, without: Collection[str] = (), servers: str = "", most: int = 0
) -> Rotated[Contents]:
    """Add a backup of a database to a directory. See `rotated`.

    Raises Unavailable if the database has no objects although the newest backup has some, so that a
    database that was lost replaces no backup. Keys that begin with `servers` are no objects."""

    def write(target: Path, newest_one: Path | None) -> Contents:
        allow_empty = newest_one is None or not _may_have_objects(newest_one, servers)
        return backup(path, target, without=without, servers=servers, allow_empty=allow_empty)

    return rotated(directory, DATABASE, write, need=_needed(path), keep=keep, now=now, most=most)


def rotated(
    directory: Path,
    suffix: str,
    write: Callable[[Path, Path | None], Content],
    *,
    need: int,
    keep: int,
    now: datetime,
    most: int = 0,
) -> Rotated[Content]:
    """Add a backup to a directory, and then delete all but the `keep` newest of its kind.

    `write` creates the file of its first argument; its second argument is the newest backup.
    Writing needs `need` bytes.

    The disk is never filled. The directory's backups have at most `most` bytes together, even while
    one is written (0: only the disk limits them). If there is no room for the new backup, the
    oldest ones are deleted first. Otherwise nothing is deleted before the new backup is checked and
    durable. The newest existing backup never makes room: if it would have to, this raises
    Unavailable and deletes nothing."""
    backups(directory, suffix)  # it exists
    with _locked(directory):
        for leftover in directory.glob(f".{PREFIX}*"):
            leftover.unlink()  # a draft of a process that was killed
        older = backups(directory, suffix)
        target = directory / f"{name_at(now, older)}{suffix}"
        early = _make_room(directory, older, need, most)
        contents = write(target, older[-1] if older else None)
        deleted = surplus([*older[len(early) :], target], keep)
        for file in deleted:
            file.unlink()
    return Rotated(target, contents, [*early, *deleted], cramped=bool(early))


def _make_room(directory: Path, older: Sequence[Path], need: int, most: int) -> Sequence[Path]:
    """Delete the oldest backups until one more can be written, and return them. Raises
    Unavailable."""
    sizes = [file.stat().st_size for file in older]
    free = shutil.disk_usage(directory).free
    room = min(free, most - sum(sizes)) if most else free
    number = displaced(sizes, room, need)
    if number is None:
        least = (need + (sizes[-1] if sizes else 0)) // _SLACK + 1
        raise Unavailable(
            f"{directory}: there is no room for a backup beside the newest one: it takes {need // _SLACK + 1}Mi while it is written, and "
            f"{max(0, room) // _SLACK}Mi are free. Nothing was deleted: give the backups {least}Mi or more (the volume, --max-bytes)"
        )
    for file in older[:number]:
        file.unlink()
    return older[:number]


def displaced(sizes: Sequence[int], room: int, need: int) -> int | None:
    """Return how many of the oldest backups have to be deleted so that `room` grows to `need`.

    `sizes` are those of the backups, the oldest first. The newest backup stays: None if the others
    do not suffice."""
    number = 0
    while room < need:
        if number >= len(sizes) - 1:
            return None
        room += sizes[number]
        number += 1
    return number


def _needed(path: Path) -> int:
    """Return the bytes that a backup needs while it is written, which is twice the database's
    size."""
    parts = (path, path.with_name(f"{path.name}-wal"))
    return 2 * sum(part.stat().st_size for part in parts if part.is_file()) + _SLACK


def surplus(found: Sequence[Path], keep: int) -> Sequence[Path]:
    """Return all but the `keep` last."""
    return found[: max(0, len(found) - keep)]


def name_at(now: datetime, older: Sequence[Path]) -> str:
    """Return the name of a backup that is taken now, without its suffix.

    It sorts after all older ones, also when the clock was set back. Otherwise the newest backup
    would be deleted as the oldest, and another one would be restored in its place."""
    times = [time for path in older if (time := _time(path)) is not None]
    after = [max(times) + timedelta(seconds=1)] if times else []
    return max([now.astimezone(UTC), *after]).strftime(_FORMAT)


def _time(path: Path) -> datetime | None:
    if not _NAME.fullmatch(path.stem):
        return None
    try:
        return datetime.strptime(path.stem, _FORMAT).replace(tzinfo=UTC)
    except ValueError:  # 20260231T000000Z
        return None


def _may_have_objects(file: Path, servers: str) -> bool:
    """Return whether a backup has objects, or is damaged, so that nothing is known of it."""
    try:
        return has_objects(file, servers)
    except Corrupt:
        return True


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the directory, because a second backup would delete the drafts of the first."""
    lock = FileLock(directory / ".lock", "It is writing another backup there.")
    try:
        lock.acquire(str(directory))
        yield
    except OSError as error:
        where = error.filename or directory
        raise Unavailable(f"{where}: {error.strerror}: check that it exists, has room, and may be written to") from error
    finally:
        lock.release()
