from __future__ import annotations

import asyncio
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Compacted, FutureRevision, Unavailable
from storage.ring import Budget, Ring


def fill(ring: Ring[int], *revisions: int) -> None:
    for revision in revisions:
        ring.append(revision, revision)
        ring.advance(revision)


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 12), st.data())
def test_a_subscriber_gets_the_rest_or_compacted(gaps: list[int], capacity: int, data: st.DataObject) -> None:
    """Append entries of one revision (gap 0) or several, with any capacity. A reader gets
    everything behind its start, or learns that it is compacted."""
    ring: Ring[tuple[int, int]] = Ring(capacity, 5)
    entries: list[tuple[int, int]] = []
    revision = 5
    for number, gap in enumerate(gaps):
        revision += gap if entries else gap + 1
        entries.append((revision, number))
        ring.append(revision, entries[-1])
    ring.advance(revision)
    after = data.draw(st.integers(5, revision))
    wanted = [entry for entry in entries if entry[0] > after]
    if len(wanted) <= capacity and (len(entries) <= capacity or after >= entries[-capacity - 1][0]):
        assert ring.subscribe(after).take() == wanted
    else:
        with pytest.raises(Compacted):
            ring.subscribe(after)


@given(st.lists(st.integers(1, 4) | st.none(), max_size=60), st.integers(1, 8))
def test_a_reader_that_keeps_up_misses_nothing(steps: list[int | None], capacity: int) -> None:
    ring: Ring[int] = Ring(capacity)
    reader = ring.subscribe(0)
    read: list[int] = []
    behind = revision = 0
    for step in steps:
        if step is None:
            read += reader.take()
            assert reader.revision == revision
            behind = 0
        elif behind + step <= capacity:
            fill(ring, *range(revision + 1, revision + step + 1))
            revision += step
            behind += step
    assert read + reader.take() == list(range(1, revision + 1))


async def test_a_reader_that_is_overtaken_is_informed() -> None:
    ring: Ring[int] = Ring(3)
    reader = ring.subscribe(0)
    fill(ring, 1, 2, 3)
    assert (await reader.next(0), reader.revision) == ([1, 2, 3], 3)
    fill(ring, 4, 5, 6, 7)
    assert reader.revision == 3
    with pytest.raises(Compacted) as caught:
        await reader.next(1)
    assert (caught.value.revision, caught.value.oldest) == (3, 4)
    assert ring.subscribe(4).take() == [5, 6, 7]


def test_old_entries_are_let_go() -> None:
    ring: Ring[int] = Ring(10)
    fill(ring, *range(1, 1000))
    assert len(ring._entries) <= 22
    assert ring.subscribe(ring.floor).take() == list(range(990, 1000))


async def test_the_revision_advances_without_entries() -> None:
    ring: Ring[int] = Ring(3)
    reader = ring.subscribe(0)
    ring.advance(7)
    assert reader.revision == 7
    assert await reader.next(0) == []
    ring.append(9, 9)
    ring.advance(9)
    assert reader.revision == 8
    assert (reader.take(), reader.revision) == ([9], 9)


def test_one_cannot_subscribe_outside() -> None:
    ring: Ring[int] = Ring(3, 10)
    with pytest.raises(FutureRevision):
        ring.subscribe(11)
    with pytest.raises(Compacted):
        ring.subscribe(9)
    ring.advance(20)
    ring.floor = 15
    with pytest.raises(Compacted):
        ring.subscribe(14)
    assert ring.subscribe(15).take() == []


async def test_waiting_ends_with_an_entry_or_in_time() -> None:
    ring: Ring[int] = Ring(3)
    reader = ring.subscribe(0)
    assert await reader.next(0.01) == []
    waiting = asyncio.create_task(reader.next(None))
    await asyncio.sleep(0)
    ring.advance(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    fill(ring, 2)
    assert await waiting == [2]


async def test_cancelling_one_reader_leaves_the_others() -> None:
    ring: Ring[int] = Ring(3)
    tasks = [asyncio.create_task(ring.subscribe(0).next(None)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    fill(ring, 1)
    assert (await tasks[0], await tasks[2]) == ([1], [1])
    assert not ring._waiters


async def test_the_end_comes_after_what_is_there() -> None:
    ring: Ring[int] = Ring(3)
    idle, reader = asyncio.create_task(ring.subscribe(0).next(None)), ring.subscribe(0)
    await asyncio.sleep(0)
    ring.append(1, 1)
    ring.advance(1)
    ring.close("over")
    assert await idle == [1]
    assert await reader.next() == [1]
    with pytest.raises(Unavailable, match="over"):
        await reader.next()


async def test_a_closed_subscription_is_over() -> None:
    ring: Ring[int] = Ring(3)
    reader = ring.subscribe(0)
    fill(ring, 1)
    reader.close()
    assert reader.revision == 0
    with pytest.raises(Unavailable):
        await reader.next()


async def test_a_reset_cuts_everybody() -> None:
    ring: Ring[int] = Ring(3)
    current = ring.subscribe(0)
    fill(ring, 1)
    behind, current = current, ring.subscribe(1)
    waiting = asyncio.create_task(ring.subscribe(1).next(None))
    await asyncio.sleep(0)
    ring.reset(5)
    for reader in (behind, current):
        with pytest.raises(Compacted):
            reader.take()
    with pytest.raises(Compacted):
        await waiting
    with pytest.raises(Compacted):
        ring.subscribe(4)
    fresh = ring.subscribe(5)
    fill(ring, 6)
    assert fresh.take() == [6]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=80), st.integers(1, 100), st.integers(1, 12))
def test_rings_stay_within_their_budget_and_lose_their_oldest(steps: list[tuple[str, int]], most: int, capacity: int) -> None:
    budget = Budget(most)
    rings: dict[str, Ring[int]] = {name: Ring(capacity, budget=budget) for name in "ab"}
    weights: dict[str, list[int]] = {"a": [], "b": []}
    for revision, (name, weight) in enumerate(steps, 1):
        rings[name].append(revision, len(weights[name]), weight)
        rings[name].advance(revision)
        weights[name].append(weight)
        kept = {name: rings[name].subscribe(rings[name].floor).take() for name in "ab"}
        for one, found in kept.items():
            assert found == list(range(len(weights[one])))[len(weights[one]) - len(found) :]
            assert rings[one].weight == sum(weights[one][number] for number in found)
        assert budget.used == sum(ring.weight for ring in rings.values())
        assert budget.used <= most or any(len(found) == 1 for found in kept.values())
        assert kept[name], "the last change is there, however heavy"


def test_what_is_dropped_is_let_go_at_once() -> None:
    class Large: ...

    ring: Ring[Large] = Ring(1000, budget=Budget(100))
    entries = [Large() for _ in range(10)]
    gone = [weakref.ref(entry) for entry in entries]
    for revision, entry in enumerate(entries, 1):
        ring.append(revision, entry, 40)
    del entries, entry
    assert [reference() is not None for reference in gone] == [False] * 8 + [True] * 2


def test_one_heavy_change_drops_thousands_of_light_ones() -> None:
    ring: Ring[int] = Ring(100_000, budget=Budget(100_000))
    for revision in range(1, 50_001):
        ring.append(revision, revision, 1)
    ring.append(50_001, 50_001, 100_000)
    ring.advance(50_001)
    assert ring.subscribe(ring.floor).take() == [50_001]


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.integers(1, 6), st.integers(1, 25))
def test_one_may_take_a_few_at_a_time(weights: list[int], count: int, weight: int) -> None:
    ring: Ring[int] = Ring(100)
    reader = ring.subscribe(0)
    for number, heavy in enumerate(weights):
        ring.append(number // 2 + 1, number, heavy)  # two entries of each revision
    ring.advance(len(weights) // 2 + 1)
    read: list[int] = []
    while taken := reader.take(count, weight):
        assert len(taken) <= count
        assert len(taken) == 1 or sum(weights[number] for number in taken) <= weight
        read += taken
        unread = range(len(read), len(weights))
        assert reader.revision == (min(unread) // 2 if unread else len(weights) // 2 + 1)
    assert read == list(range(len(weights)))


def test_a_reader_of_small_batches_is_overtaken_as_others_are() -> None:
    ring: Ring[int] = Ring(3)
    reader = ring.subscribe(0)
    fill(ring, 1, 2, 3)
    assert reader.take(1) == [1]
    fill(ring, 4, 5)
    with pytest.raises(Compacted):
        reader.take(1)


def test_there_must_be_room() -> None:
    with pytest.raises(ValueError, match="one byte"):
        Budget(0)
    with pytest.raises(ValueError, match="at least one"):
        Ring(0)


async def test_waking_thousands_is_cheap() -> None:
    ring: Ring[int] = Ring(100)
    seen: list[int] = []

    async def follow() -> None:
        seen.append((await ring.subscribe(0).next(60))[0])

    tasks = [asyncio.create_task(follow()) for _ in range(5000)]
    await asyncio.sleep(0)
    started = time.thread_time()
    fill(ring, 1)
    woken = time.thread_time() - started
    started = time.thread_time()
    await asyncio.gather(*tasks)
    assert seen == [1] * 5000
    assert woken < 20 * (time.thread_time() - started), "writing is cheaper than what the followers do"
