"""Implement `metal3-workloads backup`: copy a SQLite database while its server runs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.cli.numbers import between
from apiserver.cli.progress import add_output, console, print_json, reporting
from apiserver.cli.running import UsageError
from apiserver.cli.storage import sqlite_path
from apiserver.cli.storageflags import size
from apiserver.server.servingcert import AUTHORITY_KEY
from storage.base import StorageError
from storage.sqlite.offline import backup
from storage.sqlite.rotation import backups, rotate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from storage.sqlite.offline import Contents

KEEP = 28
"""The number of backups to keep by default: a week's, with one every six hours."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Copies the database as it is at one moment, checks the copy and makes it durable. The file has all Workloads, Hosts and "
        "claims, and no Secrets: protect it like the database. The key of a self-made serving certificate's authority is left out: a "
        "server that starts with a restored backup creates a new one. For etcd use `etcdctl snapshot save`, or migrate to a SQLite file."
    )
    parser.add_argument("--storage", required=True, metavar="URL", help="the database: sqlite:///PATH")
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
    if arguments.storage.startswith(("etcd://", "etcds://")):
        raise UsageError(
            "--storage: etcd is backed up with `etcdctl snapshot save FILE`; or use migrate --without-serving-key --to sqlite:///FILE"
        )
    if (arguments.keep is not None or arguments.max_bytes) and arguments.directory is None:
        raise UsageError("--keep and --max-bytes are for --directory: name the folder of the backups")
    try:
        with reporting("backup", console(arguments, stderr=True)):
            file, contents, deleted = _backup(sqlite_path(arguments.storage), arguments)
    except StorageError as error:
        raise UsageError(str(error)) from None
    for old in deleted:
        print(f"{old}: deleted", file=sys.stderr)
    print(f"{file}: {contents.keys} keys as of revision {contents.revision}, checked", file=sys.stderr)
    print_json(arguments, {"file": file, **asdict(contents), "deleted": deleted})
    return 0


def _backup(path: Path, arguments: argparse.Namespace) -> tuple[Path, Contents, Sequence[Path]]:
    if arguments.directory is None:
        return arguments.file, backup(path, arguments.file, without=(AUTHORITY_KEY,)), ()
    keep = KEEP if arguments.keep is None else arguments.keep
    done = rotate(path, arguments.directory, keep=keep, now=datetime.now(UTC), without=(AUTHORITY_KEY,), most=arguments.max_bytes)
    if done.cramped:
        print(
            f"{arguments.directory}: there is room for {len(backups(arguments.directory))} backups, and {keep} are wanted: "
            "enlarge it, or lower --keep",
            file=sys.stderr,
        )
    return done.file, done.contents, done.deleted
