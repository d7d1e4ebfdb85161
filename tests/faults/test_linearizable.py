"""Check that concurrent histories of the embedded store are linearizable, and that the checker
finds planted bugs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage.base import Put
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from storage.testing.harness import opened
from tests.faults.histories import record
from tests.faults.linearizable import Call, Committed, Got, Listed, State, first_impossible
from tests.faults.planted import LosesUpdates, ReadsStale, TearsCommits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage.base import Store

PLANTED = 10
EMPTY = State((), 1)
WRITE = Committed((Put("/a", b"1", 0),), 2)
NEW, OLD = Got("/a", (b"1", 2)), Got("/a", None)


@pytest.mark.parametrize(
    ("calls", "possible"),
    [
        ([Call(0, 1, WRITE), Call(2, 3, NEW)], True),
        ([Call(0, 1, WRITE), Call(2, 3, OLD)], False),  # a stale read
        ([Call(0, 3, WRITE), Call(1, 2, OLD)], True),  # concurrent: either order
        ([Call(0, 3, WRITE), Call(1, 2, NEW)], True),
        # The write was seen, and then not seen any more.
        ([Call(0, 9, WRITE), Call(1, 2, NEW), Call(3, 4, OLD)], False),
        ([Call(0, 9, WRITE), Call(1, 2, OLD), Call(3, 4, NEW)], True),
        # Both calls created the key.
        ([Call(0, 9, WRITE), Call(1, 8, Committed((Put("/a", b"2", 0),), 3))], False),
        # A revision was used again.
        ([Call(0, 1, WRITE), Call(2, 3, Committed((Put("/b", b"1"),), 2))], False),
        ([Call(0, 1, WRITE), Call(2, 3, Listed((), 2))], False),  # the write is lost
    ],
)
def test_the_checker_knows_what_is_possible(calls: list[Call], possible: bool) -> None:
    assert (first_impossible(EMPTY, calls) is None) == possible


def sqlite(place: Path) -> Store:
    return SQLiteStore(place, synchronous="off")


def cached(place: Path) -> Store:
    return WatchCache(sqlite(place), history=100)


@pytest.mark.parametrize("make", [sqlite, cached])
async def test_histories(
    make: Callable[[Path], Store], tmp_path: Path, kills: int, seed: int, figure: Callable[[str, str, object], None]
) -> None:
    checked = 0
    for trial in range(kills):
        async with opened(make(tmp_path / f"{trial}")) as store:
            before, calls = await record(store, seed + trial)
        assert (found := first_impossible(before, calls)) is None, f"seed {seed + trial}: {found}"
        assert any(isinstance(call.outcome, Committed) and len(call.outcome.operations) == 2 for call in calls)
        checked += len(calls)
    figure(f"concurrent histories, {make.__name__}", "calls, linearizable", checked)


@pytest.mark.parametrize("bug", [LosesUpdates, ReadsStale, TearsCommits])
async def test_planted_bugs_are_found(bug: Callable[[Path], Store], tmp_path: Path, figure: Callable[[str, str, object], None]) -> None:
    found = 0
    for trial in range(PLANTED):  # in some trials a later write hides the bug before a read
        async with opened(bug(tmp_path / f"{trial}")) as store:
            before, calls = await record(store, trial)
        found += first_impossible(before, calls) is not None
    assert found > 0
    figure("concurrent histories, planted bugs", f"{bug.__name__}: histories in which it is found, of {PLANTED}", found)
