"""Check the work queue's guarantees, on a clock of our own."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.runtime.queue import LATER_ONE_IN, Queue, ShutDown
from tests.unit.controllers.fakeclock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> Queue:
    return Queue(base_delay=1.0, max_delay=10.0, clock=clock)


async def test_a_key_waits_once(queue: Queue) -> None:
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_added_while_processed_comes_again_afterwards(queue: Queue) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0, "no two workers at one key"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_the_earliest_timer_wins(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("a", 5.0)
    queue.add_after("a", 2.0)
    queue.add_after("a", 9.0)
    clock.advance(1.9)
    assert len(queue) == 0
    clock.advance(0.2)
    assert await queue.get() == "a"
    queue.done("a")
    clock.advance(20.0)
    assert len(queue) == 0


async def test_failures_double_the_delay_until_forgotten(queue: Queue) -> None:
    assert [queue.add_rate_limited("a") for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 10.0]
    assert queue.failures("a") == 5
    queue.forget("a")
    assert queue.add_rate_limited("a") == 1.0


async def test_close_wakes_workers(queue: Queue) -> None:
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(ShutDown):
        await waiting
    queue.add("late")
    with pytest.raises(ShutDown):
        await queue.get()


async def test_a_worker_that_is_cancelled_as_a_key_comes_leaves_the_key_to_another(queue: Queue) -> None:
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    first.cancel()
    queue.add("a")  # before the first worker has noticed
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "a"


async def test_a_cancelled_worker_passes_its_turn_on(queue: Queue) -> None:
    first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 60) == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_groups_take_turns_and_have_a_limit(clock: FakeClock) -> None:
    queue = Queue(clock=clock, group=lambda key: key[0], limit=2)
    for key in ("a1", "a2", "a3", "a4", "b1", "b2", "b3"):
        queue.add(key)
    assert [await queue.get() for _ in range(4)] == ["a1", "b1", "a2", "b2"]
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add("a2")
    queue.done("b1")
    assert await asyncio.wait_for(waiting, 60) == "b3"
    queue.done("a2")
    assert await queue.get() == "a3", "a2 comes again, after those that have waited"
    assert len(queue) == 2


async def test_what_can_wait_lets_others_go_first_but_not_for_ever(queue: Queue) -> None:
    for number in range(3):
        queue.add(f"later-{number}", later=True)
    for number in range(LATER_ONE_IN):
        queue.add(f"first-{number}")
    taken = [await queue.get() for _ in range(len(queue))]
    assert taken[: LATER_ONE_IN - 1] == [f"first-{number}" for number in range(LATER_ONE_IN - 1)]
    assert taken[LATER_ONE_IN - 1 :] == ["later-0", f"first-{LATER_ONE_IN - 1}", "later-1", "later-2"]


async def test_what_could_wait_no_longer_does_when_it_is_added_as_urgent(queue: Queue) -> None:
    for key in ("a", "b", "c"):
        queue.add(key, later=True)
    queue.add("c")
    queue.add("c", later=True)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]
    queue.add("b", later=True)
    queue.add("b")
    queue.add("d", later=True)
    queue.done("b")
    assert [await queue.get() for _ in range(2)] == ["b", "d"]


async def test_a_key_whose_group_changes_while_it_waits_is_there_once(clock: FakeClock) -> None:
    group = "before"
    queue = Queue(clock=clock, group=lambda key: group)
    queue.add("a", later=True)
    group = "after"
    queue.add("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


@given(st.lists(st.tuples(st.sampled_from(["add", "later", "get", "done"]), st.sampled_from("abcd")), max_size=60))
def test_no_key_is_lost_or_processed_twice_at_once(steps: list[tuple[str, str]]) -> None:
    async def play() -> None:
        queue, owed, working = Queue(clock=FakeClock(), group=lambda key: str(key < "c")), set[str](), set[str]()
        for step, key in steps:
            if step in ("add", "later"):
                queue.add(key, later=step == "later")
                owed.add(key)
            elif step == "get" and len(queue):
                got = await queue.get()
                assert got not in working
                working.add(got)
                owed.discard(got)
            elif step == "done" and key in working:
                queue.done(key)
                working.discard(key)
        for key in list(working):
            queue.done(key)
        while len(queue):
            got = await queue.get()
            owed.discard(got)
            queue.done(got)
        assert not owed

    asyncio.run(play())


async def test_of_one_group_tenants_take_turns_however_many_keys_one_has_or_adds_again(clock: FakeClock) -> None:
    queue = Queue(clock=clock, flow=lambda key: key[0], limit=2)
    for number in range(10_000):
        queue.add(f"a{number}")
    queue.add("b1")
    queue.add("c1", later=True)
    queue.add("c1")
    taken = []
    for _ in range(4):
        taken.append(await queue.get())
        queue.add(taken[-1])
        queue.done(taken[-1])
    assert taken == ["a0", "b1", "c1", "a1"]
    assert len(queue) == 10_002


async def test_all_groups_together_have_a_limit_and_what_waits_for_it_is_woken(clock: FakeClock) -> None:
    queue = Queue(clock=clock, group=lambda key: key[0], limit=2, total=3)
    for key in ("a1", "a2", "b1", "c1"):
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["a1", "b1", "c1"]
    assert queue.ready("a") == 1
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done("b1")
    assert await asyncio.wait_for(waiting, 60) == "a2"
    assert queue.ready("a") == 0
