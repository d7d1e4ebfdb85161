"""Cover the fan-out of watches: rounds, pauses, and which readers take part."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from apiserver.handlers.watchers import broadcaster as module
from apiserver.handlers.watchers.broadcaster import Broadcaster
from storage.base import Unavailable
from storage.collection import Collection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from apiserver.registry.generic.entry import Entry
    from storage.collection import Change
    from storage.ring import Subscription

PREFIX = "/registry/example.com/widgets/"


class Reader:
    """Follow the fan-out, and note what arrives; `room` says whether the reader accepts
    anything."""

    def __init__(self, subscription: Subscription[Change[Entry]]) -> None:
        self._subscription = subscription
        self.rounds: list[list[int]] = []
        self.failure: Exception | None = None
        self.room = True
        self.work = self.paid = 0.0
        self.served = asyncio.Event()

    def pay(self, seconds: float) -> None:
        self.paid += seconds

    def deliver(self) -> bool:
        if not self.room:
            return False
        try:
            changes = self._subscription.take()
        except Unavailable as error:
            self.failure = error
            return False
        if changes:
            until = time.thread_time() + self.work
            while time.thread_time() < until:
                pass
            self.rounds.append([change.revision for change in changes])
            self.served.set()
        return True


def collection() -> Collection[Entry]:
    made: Collection[Entry] = Collection(PREFIX, lambda key, value, revision: None)  # type: ignore[arg-type, return-value] # nothing is decoded
    made.reset(1)
    return made


def write(into: Collection[Entry], *revisions: int) -> None:
    for revision in revisions:
        into.put(f"{PREFIX}{revision}", b"", revision)
        into.advance(revision)


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@asynccontextmanager
async def following(items: Collection[Entry], count: int, **pauses: float) -> AsyncIterator[tuple[Broadcaster, list[Reader]]]:
    out, readers = Broadcaster(items, **pauses), [Reader(items.subscribe(1)) for _ in range(count)]
    for reader in readers:
        out.join(reader)
    await turns()
    yield out, readers
    for reader in readers:
        out.leave(reader)
    assert len(out) == 0


async def test_the_first_change_goes_out_at_once_and_the_next_ones_together() -> None:
    items = collection()
    async with following(items, module.AT_ONCE + 2, shortest=0.05) as (_, readers):
        write(items, 2)
        await turns()
        assert all(reader.rounds == [[2]] for reader in readers)
        readers[-1].served.clear()
        write(items, 3, 4)
        await turns()
        write(items, 5)
        async with asyncio.timeout(60):
            await readers[-1].served.wait()
        assert all(reader.rounds == [[2], [3, 4, 5]] for reader in readers)


async def test_one_without_room_is_left_out_and_may_come_back() -> None:
    items = collection()
    async with following(items, 2, shortest=0, longest=0) as (out, (slow, other)):
        slow.room = False
        write(items, 2)
        await turns()
        assert (slow.rounds, other.rounds, len(out)) == ([], [[2]], 1)
        write(items, 3)
        await turns()
        slow.room = True
        assert slow.deliver()
        out.join(slow)
        write(items, 4)
        await turns()
        assert (slow.rounds, other.rounds) == ([[2, 3], [4]], [[2], [3], [4]])


async def test_the_broadcaster_stops_without_followers_and_starts_again() -> None:
    items = collection()
    async with following(items, 1):
        pass
    write(items, 2)
    async with following(items, 1) as (_, (reader,)):
        assert reader.rounds == []
        write(items, 3)
        await turns()
        assert reader.rounds == [[2, 3]]


async def test_the_end_of_the_storage_is_reported_to_all() -> None:
    items = collection()
    async with following(items, 2) as (_, readers):
        items.close("over")
        await turns()
        assert [str(reader.failure) for reader in readers] == ["over", "over"]


async def test_a_break_in_the_history_is_survived() -> None:
    items = collection()
    async with following(items, 0, shortest=0, longest=0) as (out, _):
        before = Reader(items.subscribe(1))
        before.room = False
        out.join(before)
        await turns()
        items.reset(5)
        await turns()
        assert len(out) == 0
        after = Reader(items.subscribe(5))
        out.join(after)
        write(items, 6)
        await turns()
        assert after.rounds == [[6]]
        out.leave(after)


class Slow(Reader):
    """A reader that needs more than a turn for a change. `others` records before each change how
    often others had their turn."""

    def __init__(self, subscription: Subscription[Change[Entry]], iterations: list[int], others: list[int]) -> None:
        super().__init__(subscription)
        self._iterations, self._others = iterations, others

    def deliver(self) -> bool:
        self._others.append(self._iterations[0])
        until = time.thread_time() + 2 * module.TURN
        while time.thread_time() < until:
            pass
        return super().deliver()


async def test_others_have_their_turn_between_large_changes() -> None:
    items, iterations, others = collection(), [0], list[int]()
    out, readers = Broadcaster(items), [Slow(items.subscribe(1), iterations, others) for _ in range(4)]
    for reader in readers:
        out.join(reader)
    await turns()

    async def other() -> None:
        while True:
            iterations[0] += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    write(items, 2)
    async with asyncio.timeout(60):
        for reader in readers:
            await reader.served.wait()
    task.cancel()
    for reader in readers:
        out.leave(reader)
    assert len(set(others)) == 4, others


async def test_each_pays_for_its_own_delivery() -> None:
    items = collection()
    async with following(items, 20) as (_, readers):
        readers[7].work = 0.05
        write(items, 2)
        for reader in readers:
            await asyncio.wait_for(reader.served.wait(), 60)
        await turns()
        assert readers[7].paid >= 0.05
        assert sum(reader.paid for reader in readers) - readers[7].paid < 0.05
