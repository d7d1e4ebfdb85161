"""Implement `metal3-workloads backup`: copy a SQLite database while its server runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.cli.running import UsageError
from apiserver.cli.storage import sqlite_path
from apiserver.server.servingcert import AUTHORITY_KEY
from storage.base import StorageError
from storage.sqlite.offline import backup

if TYPE_CHECKING:
    import argparse

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Copies the database as it is at one moment, checks the copy and makes it durable. The file has all Workloads, Hosts and "
        "claims, and no Secrets: protect it like the database. The key of a self-made serving certificate's authority is left out: a "
        "server that starts with a restored backup creates a new one. For etcd use `etcdctl snapshot save`, or migrate to a SQLite file."
    )
    parser.add_argument("--storage", required=True, metavar="URL", help="the database: sqlite:///PATH")
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to create; must not exist yet")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Create the backup. Raises UsageError."""
    if arguments.storage.startswith(("etcd://", "etcds://")):
        raise UsageError(
            "--storage: etcd is backed up with `etcdctl snapshot save FILE`; or use migrate --without-serving-key --to sqlite:///FILE"
        )
    try:
        contents = backup(sqlite_path(arguments.storage), arguments.file, without=(AUTHORITY_KEY,))
    except StorageError as error:
        raise UsageError(str(error)) from None
    print(f"{arguments.file}: {contents.keys} keys as of revision {contents.revision}, checked", file=sys.stderr)
    return 0
