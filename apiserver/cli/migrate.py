"""Implement `metal3-workloads migrate`: copy everything to another storage while servers are
stopped."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from apiserver.cli.progress import Reporter, add_output, console, print_json, reporting
from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.cli.storage import PREFIX, open_store, sqlite_path
from apiserver.server.servingcert import AUTHORITY_KEY
from storage import transfer
from storage.base import StorageError, Store
from storage.sqlite import SQLiteStore
from storage.sqlite.offline import raise_revision
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
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Migrate. Raises UsageError."""
    if arguments.source == arguments.target:
        raise UsageError("--from and --to are the same: name another storage to migrate to")
    if arguments.source.startswith(PREFIX) and not sqlite_path(arguments.source, "--from").is_file():
        raise UsageError(f"--from {arguments.source}: there is no such database")
    without = (AUTHORITY_KEY,) if arguments.without_serving_key else ()
    results: list[dict[str, int]] = []

    async def main() -> None:
        with reporting("keys", console(arguments, stderr=True)) as reporter:
            results.append(await _migrate(arguments.source, arguments.target, _Progress(reporter), without))

    try:
        run_until_stopped(main)
    except (StorageError, ValueError) as error:
        raise UsageError(str(error)) from None
    if not results:
        unfinished = "run it again to continue, and start no server with the new storage before it is complete"
        print(f"stopped before the end: {unfinished}", file=sys.stderr)
        return 1
    print_json(arguments, results[0])
    return 0


async def _migrate(from_: str, to: str, progress: _Progress, without: Collection[str]) -> dict[str, int]:
    """Copy everything. Return the number of keys, and the revisions of both storages."""
    async with _opened(from_, "--from") as source:
        held = await transfer.snapshot(source, without=without)
        await _raise(held, to, progress)
        async with _opened(to, "--to") as target:
            revision = await transfer.copy(source, held, target, progress.show)
    progress.say(
        f"{len(held.items)} keys of revision {held.revision} are at revision {revision} now, compared with the source. "
        "Start the servers with the new --storage; keep the old one until nothing is missed."
    )
    return {"keys": len(held.items), "fromRevision": held.revision, "revision": revision}


async def _raise(held: Snapshot, to: str, progress: _Progress) -> None:
    """Mark the target, and raise its revision to that of the source or above."""
    async with _opened(to, "--to") as target:
        already = await transfer.mark(held, target)
        if already:
            progress.say(f"continuing: {already} of {len(held.items)} keys are there")
        gap = held.revision - await target.current_revision()
        if isinstance(target, SQLiteStore):
            path = target.path
        else:
            if gap > MANY:
                progress.say(f"{gap} empty commits raise etcd's revision; `etcdutl snapshot restore --bump-revision {gap}` would be faster")
            await transfer.bump_revision(target, held.revision, progress.show)
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


class _Progress:
    """Shows the progress of copying: a bar on a terminal, and at most one line a second
    elsewhere."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._next = reporter, 0.0
        self.say = reporter.say

    def show(self, what: str, done: int, total: int) -> None:
        """Show the progress. Called by storage.transfer."""
        self._reporter.advance(done, total, what)
        now = time.monotonic()
        if not self._reporter.has_bar and (now >= self._next or done == total):
            self._next = now + REPORT_SECONDS
            self.say(f"{what}: {done} of {total}")
