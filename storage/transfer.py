"""Copy everything from one Store to another of any kind, so that revisions only grow for clients.

The order of the steps makes this safe: mark the target as unfinished, and raise its revision above
all revisions of the source. Then copy, compare, remove the mark, and drop the history. After that,
every key in the target has a larger revision than any key had in the source. A watch that began at
the source has to list again. Each step can be interrupted and repeated. No other process may write
to either store meanwhile, and the comparison detects such writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from storage.base import Conflict, Delete, KeyValue, Operation, Put, StorageError, Store, TooLarge

MARK = "unfinished-migration"
"""The key that exists in a target until the target is complete. Keys of objects begin with a
slash."""

_BATCH_OPERATIONS = 100
_BATCH_BYTES = 256 << 10
_IN_FLIGHT = 64
_FORGET = 50_000  # revisions between two compactions while the revision is raised


class NotEmpty(StorageError):
    """The target contains keys that did not come from this source."""


class Changed(StorageError):
    """Another process wrote to the source or the target during the transfer."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a Store at one revision, except for the keys `without`."""

    items: Sequence[KeyValue]
    revision: int
    without: frozenset[str] = frozenset()


async def snapshot(store: Store, *, without: Collection[str] = ()) -> Snapshot:
    """Read everything except the keys `without` into memory. Raises NotEmpty if the store is
    marked."""
    page = await store.list("")
    if any(item.key == MARK for item in page.items):
        raise NotEmpty("the source is itself the target of a migration that did not finish: finish that one first")
    return Snapshot([item for item in page.items if item.key not in without], page.revision, frozenset(without))


async def mark(source: Snapshot, target: Store) -> int:
    """Mark an empty target, or check that a marked target contains only keys of the source.

    Returns the number of keys that the target already has. Raises NotEmpty."""
    items = {item.key: item.value for item in (await target.list("")).items}
    if MARK not in items:
        if items:
            raise NotEmpty(f"the target has {len(items)} keys, {min(items)} among them: migrate to an empty one")
        await target.commit([Put(MARK, b"", expected=0)])
        return 0
    del items[MARK]
    known = {item.key: item.value for item in source.items}
    for key, value in items.items():
        if known.get(key) != value:
            raise NotEmpty(
                f"the target has the beginning of a migration, and its {key} differs from the source: empty the target and start again"
            )
    return len(items)


async def bump_revision(target: Store, revision: int, progress: Callable[[str, int, int], None]) -> None:
    """Commit to the mark until the target's revision is at least `revision`.

    This is the only way for a backend whose revision cannot be set."""
    start = forgotten = current = await target.current_revision()
    while current < revision:
        count = min(_IN_FLIGHT, revision - current)
        current = max(await asyncio.gather(*(target.commit([Put(MARK, b"")]) for _ in range(count))))
        if current - forgotten >= _FORGET:
            await target.compact(current)
            forgotten = current
        progress("revisions", min(current, revision) - start, revision - start)


async def copy(source: Store, held: Snapshot, target: Store, progress: Callable[[str, int, int], None]) -> int:
    """Copy the missing keys into a marked target, compare, and remove the mark. Return its
    revision.

    Raises Changed if the source or the target is not in the expected state; the target stays
    marked."""
    if await target.current_revision() < held.revision:
        raise ValueError("the target's revision is behind the source's: raise it first")
    there = {item.key for item in (await target.list("")).items}
    done = sum(item.key in there for item in held.items)
    for batch in _batches([item for item in held.items if item.key not in there]):
        await _write(target, batch)
        done += len(batch)
        progress("keys", done, len(held.items))
    await _compare(source, held, target)
    revision = await target.commit([Delete(MARK)])
    await target.compact(revision)
    return revision


async def _write(target: Store, batch: Sequence[KeyValue]) -> None:
    operations: list[Operation] = [Put(item.key, item.value, expected=0) for item in batch]
    try:
        await target.commit(operations)
    except Conflict as conflict:
        raise Changed(
            f"a client has written {conflict.key} into the target meanwhile: stop every server that uses it, empty it, and start again"
        ) from conflict
    except TooLarge as error:
        raise TooLarge(f"{batch[0].key} to {batch[-1].key}: {error}; then run this command again to continue from here") from error


async def _compare(source: Store, held: Snapshot, target: Store) -> None:
    now = (await source.list("")).items
    if [(item.key, item.revision) for item in now if item.key not in held.without] != [(item.key, item.revision) for item in held.items]:
        raise Changed("a client has written to the source meanwhile: stop every server that uses it, empty the target, and start again")
    copied = [(item.key, item.value) for item in (await target.list("")).items if item.key != MARK]
    if copied != [(item.key, item.value) for item in held.items]:
        raise Changed("the target differs from what was written to it: stop every server that uses it, empty it, and start again")


def _batches(items: Sequence[KeyValue]) -> list[list[KeyValue]]:
    """Divide the items, in order, into batches that any backend accepts.

    A single item may still be too large."""
    batches: list[list[KeyValue]] = []
    size = 0
    for item in items:
        weight = len(item.key) + len(item.value)
        if not batches or len(batches[-1]) == _BATCH_OPERATIONS or size + weight > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(item)
        size += weight
    return batches
