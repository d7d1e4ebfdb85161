"""Implement `metal3-workloads migrate`: copy everything to another storage while servers are
stopped."""

from __future__ import annotations

import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.cli.storage import PREFIX, open_store, sqlite_path
from apiserver.server.servingcert import AUTHORITY_KEY
from storage import transfer
from storage.base import StorageError
from storage.sqlite import SQLiteStore
from storage.sqlite.offline import raise_revision

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Collection

    from storage.base import Store
    from storage.transfer import Snapshot

REPORT_SECONDS = 1.0
MANY = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Copies all objects to an empty storage. Stop every server of both first. resourceVersions continue above those of the "
        "source. If it was interrupted, run it again to continue. The source is only read."
    )
    parser.add_argument("--from", required=True, dest="source", metavar="URL", help="the present storage, as for serve --storage")
    parser.add_argument("--to", required=True, dest="target", metavar="URL", help="the new storage; must be empty")
    help_ = (
        "leave out the key of a self-made serving certificate's authority, for a copy that is kept as a backup; servers create a new one"
    )
    parser.add_argument("--without-serving-key", action="store_true", help=help_)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Migrate. Raises UsageError."""
    if arguments.source == arguments.target:
        raise UsageError("--from and --to are the same: name another storage to migrate to")
    if arguments.source.startswith(PREFIX) and not sqlite_path(arguments.source, "--from").is_file():
        raise UsageError(f"--from {arguments.source}: there is no such database")
    reporter, without = _Reporter(), (AUTHORITY_KEY,) if arguments.without_serving_key else ()
    try:
        run_until_stopped(lambda: _migrate(arguments.source, arguments.target, reporter, without))
    except (StorageError, ValueError) as error:
        raise UsageError(str(error)) from None
    if not reporter.complete:
        reporter.say("stopped before the end: run it again to continue, and start no server with the new storage before it is complete")
    return 0 if reporter.complete else 1


async def _migrate(from_: str, to: str, reporter: _Reporter, without: Collection[str]) -> None:
    async with _opened(from_, "--from") as source:
        held = await transfer.snapshot(source, without=without)
        await _raise(held, to, reporter)
        async with _opened(to, "--to") as target:
            revision = await transfer.copy(source, held, target, reporter.progress)
    reporter.complete = True
    reporter.say(
        f"{len(held.items)} keys of revision {held.revision} are at revision {revision} now, compared with the source. "
        "Start the servers with the new --storage; keep the old one until nothing is missed."
    )


async def _raise(held: Snapshot, to: str, reporter: _Reporter) -> None:
    """Mark the target, and raise its revision to that of the source or above."""
    async with _opened(to, "--to") as target:
        already = await transfer.mark(held, target)
        if already:
            reporter.say(f"continuing: {already} of {len(held.items)} keys are there")
        gap = held.revision - await target.current_revision()
        if isinstance(target, SQLiteStore):
            path = target.path
        else:
            if gap > MANY:
                reporter.say(f"{gap} empty commits raise etcd's revision; `etcdutl snapshot restore --bump-revision {gap}` would be faster")
            await transfer.bump_revision(target, held.revision, reporter.progress)
            return
    raise_revision(path, held.revision)


@asynccontextmanager
async def _opened(url: str, flag: str) -> AsyncIterator[Store]:
    store = open_store(url, flag)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


class _Reporter:
    """Prints messages to stderr, at most one line a second about progress."""

    def __init__(self) -> None:
        self._next = 0.0
        self.complete = False

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """Print the progress. Called by storage.transfer."""
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + REPORT_SECONDS
            self.say(f"{what}: {done} of {total}")
