"""Cover controllers, managers and events."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from apiserver.client.errors import ApiException
from apiserver.client.informer import Informer
from apiserver.client.objects import Resource
from controllers.runtime.controller import Controller, Result, TerminalError
from controllers.runtime.events import BURST, EventRecorder
from controllers.runtime.manager import PATIENCE_SECONDS, Manager
from tests.crashes.virtual import run
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apiserver.client.client import Client

THINGS = Resource("example.com", "v1", "things", "Thing")
EVENTS = "api/v1/events"


async def playing(reconcile: Callable[[str], Awaitable[Result | None]], check: Callable[[], object], timeout: float = 60.0) -> Controller:
    controller = Controller("test", reconcile, base_delay=0.001, workers=3, timeout=timeout)
    controller.queue.add("a")
    task = asyncio.ensure_future(controller.run())
    try:
        await eventually(check)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return controller


async def test_failures_are_tried_again_until_it_works() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        if len(calls) < 3:
            raise ValueError("not yet")
        return None

    controller = await playing(reconcile, lambda: len(calls) == 3)
    assert controller.queue.failures("a") == 0


def test_terminal_errors_wait_for_a_change() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        raise TerminalError("never")

    async def main() -> None:
        controller = Controller("test", reconcile, base_delay=0.001)
        controller.queue.add("a")
        task = asyncio.ensure_future(controller.run())
        await asyncio.sleep(86_400.0)
        assert calls == ["a"], "there is no retry within a day"
        controller.queue.add("a")
        await asyncio.sleep(86_400.0)
        assert calls == ["a", "a"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main)


async def test_a_servers_retry_after_is_honoured() -> None:
    times: list[float] = []

    async def reconcile(key: str) -> Result | None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise ApiException(429, "TooManyRequests", "slow", retry_after=0.15)
        return None

    await playing(reconcile, lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.14


async def test_what_hangs_is_cancelled_and_tried_again() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        if len(calls) == 1:
            await asyncio.sleep(30)
        return None

    await playing(reconcile, lambda: len(calls) == 2, timeout=0.05)


async def test_a_group_whose_work_hangs_holds_no_other_up() -> None:
    hanging, done = asyncio.Event(), list[str]()

    async def reconcile(key: str) -> Result | None:
        if key.startswith("dead/"):
            await hanging.wait()
        done.append(key)
        return None

    controller = Controller("test", reconcile, workers=2, group=lambda key: key.partition("/")[0])
    for number in range(50):
        controller.queue.add(f"dead/{number}")
    task = asyncio.ensure_future(controller.run())
    for number in range(20):
        controller.queue.add(f"alive/{number}")
    await eventually(lambda: len(done) == 20)
    assert all(key.startswith("alive/") for key in done)
    hanging.set()
    await eventually(lambda: len(done) == 70)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_more_than_so_many_at_once() -> None:
    working, most = 0, list[int]()

    async def reconcile(key: str) -> Result | None:
        nonlocal working
        working += 1
        most.append(working)
        await asyncio.sleep(0)
        working -= 1
        return None

    controller = Controller("test", reconcile, workers=3)
    for number in range(20):
        controller.queue.add(str(number))
    task = asyncio.ensure_future(controller.run())
    await eventually(lambda: len(most) == 20)
    assert max(most) == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_requeue_after() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result | None:
        calls.append(key)
        return Result(requeue_after=0.01)

    await playing(reconcile, lambda: len(calls) >= 3)


class Working:
    """Run until it is made to fail."""

    def __init__(self) -> None:
        self.fail = asyncio.Event()

    async def run(self) -> None:
        await self.fail.wait()
        raise ValueError("broken")


async def test_the_manager_starts_in_order_and_stops_everything_on_a_failure(api: FakeApi, client: Client) -> None:
    manager, working = Manager(patience=0), Working()
    informer = manager.informer(Informer(client, THINGS))
    manager.add(working)
    assert manager.unhealthy() == "still reading the state of the cluster"
    task = asyncio.ensure_future(manager.run())
    await asyncio.wait_for(manager.started.wait(), 60)
    assert informer.synced.is_set()
    assert manager.unhealthy() is None
    await eventually(lambda: api.requests["WATCH things"] == 1)
    api.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
    api.cut_watches()
    await eventually(lambda: "cannot follow things" in (manager.unhealthy() or ""))
    working.fail.set()
    with pytest.raises(ExceptionGroup) as caught:
        await task
    assert caught.group_contains(ValueError, match="broken")


async def test_a_server_that_is_away_for_a_moment_makes_no_controller_unready(api: FakeApi, client: Client) -> None:
    manager = Manager()
    informer = manager.informer(Informer(client, THINGS))
    task = asyncio.ensure_future(manager.run())
    await asyncio.wait_for(manager.started.wait(), 60)
    api.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
    api.cut_watches()
    await eventually(lambda: informer.last_error is not None)
    assert manager.unhealthy() is None
    assert informer.stale_since is not None
    informer.stale_since -= PATIENCE_SECONDS + 1
    assert "cannot follow things" in (manager.unhealthy() or "")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_many_events_are_spread_over_time(api: FakeApi, client: Client) -> None:
    recorder, written = EventRecorder(client, "tester", per_second=1000), BURST + 10
    for number in range(written):
        about = {"kind": "Thing", "apiVersion": "example.com/v1", "metadata": {"name": f"x{number}", "namespace": "ns", "uid": str(number)}}
        recorder.event(about, "Normal", "Fine", "it is fine")
    began = asyncio.get_running_loop().time()
    task = asyncio.ensure_future(recorder.run())
    await eventually(lambda: len(api.all(EVENTS)) == written)
    assert asyncio.get_running_loop().time() - began >= 9 / 1000, "those beyond the burst had to wait"
    assert [event["involvedObject"]["name"] for event in api.all(EVENTS)] == [f"x{number}" for number in range(written)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_repeated_events_are_counted(api: FakeApi, client: Client) -> None:
    def counted(times: int) -> bool:
        return [event["count"] for event in api.all(EVENTS)] == [times]

    recorder = EventRecorder(client, "tester")
    task = asyncio.ensure_future(recorder.run())
    about = {"kind": "Thing", "apiVersion": "example.com/v1", "metadata": {"name": "x", "namespace": "ns", "uid": "u"}}
    for number in range(3):
        recorder.event(about, "Warning", "Broken", "it is broken")
        await eventually(partial(counted, number + 1))
    [event] = api.all(EVENTS)
    assert event["metadata"]["namespace"] == "ns"
    assert event["involvedObject"] == {"kind": "Thing", "apiVersion": "example.com/v1", "name": "x", "uid": "u", "namespace": "ns"}
    api.remove(EVENTS, event["metadata"]["name"], "ns")
    recorder.event(about, "Warning", "Broken", "it is broken")
    await eventually(lambda: [event["count"] for event in api.all(EVENTS)] == [1])
    recorder.event({**about, "metadata": {"name": "cluster-scoped", "uid": "v"}}, "Normal", "Fine", "x" * 5000)
    await eventually(lambda: len(api.all(EVENTS)) == 2)
    [other] = [event for event in api.all(EVENTS) if event["metadata"]["namespace"] == "default"]
    assert len(other["message"]) == 1024
    api.fail = lambda verb, path: Failure(500, "InternalError")
    recorder.event(about, "Normal", "Lost", "nobody hears it")
    api.fail = lambda verb, path: None
    recorder.event(about, "Normal", "Heard", "it goes on")
    await eventually(lambda: "Heard" in [event["reason"] for event in api.all(EVENTS)])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_optional_kind_that_the_account_may_not_read_is_reported(api: FakeApi, client: Client) -> None:
    manager = Manager(patience=0)
    informer = Informer(client, THINGS)
    manager.optional(informer)
    tasks = [asyncio.ensure_future(manager.run()), asyncio.ensure_future(informer.run())]
    await asyncio.wait_for(manager.started.wait(), 30)
    api.fail = lambda verb, path: Failure(403, "Forbidden", "no right to list things")
    api.cut_watches()
    await eventually(lambda: "no right to list things" in (manager.unhealthy() or ""))
    api.fail = lambda verb, path: Failure(404, "NotFound", "a server of an earlier version")
    await eventually(lambda: manager.unhealthy() is None)
    assert informer.last_error is not None
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
