"""Implement `metal3-workloads restore`: replace a SQLite database by a backup."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from apiserver.cli.numbers import between
from apiserver.cli.progress import add_output, console, print_json, reporting
from apiserver.cli.running import UsageError
from apiserver.cli.storage import sqlite_path
from apiserver.registry.claims.heartbeat import JUMP
from storage.base import Corrupt, StorageError
from storage.sqlite.offline import MARGIN, discard_replaced, restore
from storage.sqlite.rotation import backups, newest


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Checks the backup and replaces the database by it in one step. Stop the server first. Revisions that were used "
        "after the backup are not used again: the database continues far above them, and every watch starts again."
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        nargs="?",
        help="the file that backup has created, or the folder of its --directory, for the newest in it",
    )
    parser.add_argument("--storage", required=True, metavar="URL", help="the database: sqlite:///PATH")
    parser.add_argument("--force", action="store_true", help="also replace a database that has objects; it is moved to PATH.replaced")
    help_ = "in place of FILE: delete the databases that restores have moved to PATH.replaced; a server may run"
    parser.add_argument("--discard-replaced", action="store_true", help=help_)
    help_ = f"more commits than can have been made since the backup, and more than {JUMP} (default: {MARGIN})"
    # A server recognizes a restore by a jump of the revision.
    parser.add_argument("--margin", type=between(JUMP + 1, 1 << 62, "the margin"), default=MARGIN, metavar="N", help=help_)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Restore. Raises UsageError."""
    path = sqlite_path(arguments.storage)
    if (arguments.file is None) != arguments.discard_replaced:
        raise UsageError("name either the backup to restore (or the folder of the backups), or --discard-replaced")
    try:
        if arguments.file is None:
            return _discard(path, arguments)
        file = _chosen(arguments.file)
        with reporting("restore", console(arguments, stderr=True)):
            done = restore(file, path, force=arguments.force, margin=arguments.margin)
    except Corrupt as error:
        raise UsageError(f"{error.finding}: this backup cannot be used, take an older one; {path} was not changed") from None
    except (StorageError, ValueError) as error:
        raise UsageError(str(error)) from None
    if done.replaced is not None:
        discard = f"metal3-workloads restore --discard-replaced --storage={arguments.storage}"
        done_with = f"when you know that nothing is missing, delete it: {discard}"
        print(f"the replaced database is now {done.replaced}; {done_with}", file=sys.stderr)
    print(
        f"{path}: {done.backup.keys} keys of {file} as of revision {done.backup.revision}. The next revision is {done.revision + 1}: "
        "no revision since the backup is used again. Start the server now; clients list again by themselves.",
        file=sys.stderr,
    )
    print_json(
        arguments, {"database": path, "file": file, **asdict(done.backup), "nextRevision": done.revision + 1, "replaced": done.replaced}
    )
    return 0


def _discard(path: Path, arguments: argparse.Namespace) -> int:
    deleted = discard_replaced(path)
    for old in deleted:
        print(f"{old}: deleted", file=sys.stderr)
    print_json(arguments, {"deleted": deleted})
    return 0


def _chosen(given: Path) -> Path:
    """Return the file to restore: of a folder the newest one. Print the names of all."""
    if not given.is_dir():
        return given
    chosen = newest(given)
    for file in backups(given):
        print(file, file=sys.stderr)
    return chosen
