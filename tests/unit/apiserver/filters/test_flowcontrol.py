"""Check which requests wait for which others, over real TLS."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from apiserver.filters.flowcontrol import BODY_SEAT, LIST_SEAT, WIDEST, FlowControl, schema, width
from apiserver.flowcontrol.loopscheduler import ROUND
from apiserver.handlers.request.body import LIMIT
from apiserver.handlers.request.call import parse
from apiserver.handlers.request.timebudget import TURNS, charging
from apiserver.registry.generic.context import UserInfo
from tests.unit.apiserver.server.harness import CLIENTS, PROXIES, Setup, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from apiserver.handlers.request.call import Call

GREEDY, LIGHT, MASTER = CLIENTS.issue("greedy"), CLIENTS.issue("light"), CLIENTS.issue("root", ["system:masters"])
PROXY = PROXIES.issue("front-proxy-client")
CONTROLLERS = "system:serviceaccount:metal3-workloads-system:metal3-workloads-controllers"
THINGS = "/apis/g/v1/namespaces/n/things"
CONNECTIONS = 64


@pytest.mark.parametrize(
    ("name", "groups", "path", "level", "flow"),
    [
        ("root", ("system:masters",), THINGS, "exempt", ""),
        ("alice", (), THINGS, "workloads", "alice"),
        ("alice", (), "/readyz", "workloads", "alice"),
        ("system:serviceaccount:team:one", ("system:serviceaccounts:team",), THINGS, "workloads", "system:serviceaccount:team"),
        ("system:serviceaccount:team:two", ("system:serviceaccounts:team",), THINGS, "workloads", "system:serviceaccount:team"),
        ("system:serviceaccount:kube-system:gc", ("system:serviceaccounts:kube-system",), THINGS, "system", None),
        ("system:kube-controller-manager", (), THINGS, "system", None),
        ("system:apiserver", (), THINGS, "system", None),
        (CONTROLLERS, (), THINGS, "controllers", None),
        ("system:serviceaccount:metal3-workloads-systemic:x", (), THINGS, "workloads", "system:serviceaccount:metal3-workloads-systemic"),
        ("system:anonymous", ("system:unauthenticated",), THINGS, "catch-all", ""),
        ("system:anonymous", ("system:unauthenticated",), "/livez", "health", ""),
    ],
)
def test_every_request_has_a_level_and_a_flow(name: str, groups: tuple[str, ...], path: str, level: str, flow: str | None) -> None:
    assert schema(UserInfo(name, groups=groups), parse("GET", path, {})) == (level, name if flow is None else flow)


@pytest.mark.parametrize(
    ("method", "path", "length", "objects", "limit", "seats"),
    [
        ("GET", f"{THINGS}/t", 0, 10**6, "", 1),
        ("GET", THINGS, 0, 0, "", 1),
        ("GET", THINGS, 0, LIST_SEAT, "", 2),
        ("GET", THINGS, 0, 10**6, "", WIDEST),
        ("GET", THINGS, 0, 10**6, str(LIST_SEAT), 2),
        ("GET", THINGS, 0, 10**6, "9" * 5000, WIDEST),
        ("GET", THINGS, 0, 10**6, "-1", WIDEST),
        ("GET", THINGS, 0, 10**6, "0", WIDEST),
        ("DELETE", THINGS, 0, 10**6, "", WIDEST),
        ("POST", THINGS, 100, 0, "", 2),
        ("PATCH", f"{THINGS}/t", BODY_SEAT, 0, "", 3),
        ("PUT", f"{THINGS}/t", 10**12, 0, "", 2 + LIMIT // BODY_SEAT),
    ],
)
def test_expensive_requests_take_more_seats(method: str, path: str, length: int, objects: int, limit: str, seats: int) -> None:
    assert width(parse(method, path, {}), length, objects, limit) == seats


class Work:
    """Handle requests: the greedy user's have much to do, a step at a time; others are answered at
    once."""

    def __init__(self, turns: bool = False) -> None:
        self.steps, self._turns = 0, turns

    async def __call__(self, call: Call) -> web.StreamResponse:
        assert call.user is not None
        if call.user.name == "greedy":
            turn = TURNS.begin()
            for _ in range(10_000):
                self._step()
                await (turn.checkpoint() if self._turns else asyncio.sleep(0))
        return web.Response(text=call.user.name)

    def _step(self) -> None:
        self.steps += 1
        ends = time.perf_counter() + ROUND * 1.1
        while time.perf_counter() < ends:
            pass


async def _get(client: aiohttp.ClientSession, path: str = THINGS) -> int:
    async with client.get(path) as response:
        return response.status


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)


@pytest.mark.parametrize("turns", [False, True])
async def test_a_light_users_requests_are_next_whatever_a_greedy_one_does(turns: bool) -> None:
    work = Work(turns)
    async with serving(Setup(handler=work, request_seconds=60)) as port:
        light, greedy = port.client(LIGHT), [port.client(GREEDY) for _ in range(CONNECTIONS)]
        assert await _get(light) == 200
        flood = [asyncio.create_task(_get(one)) for one in greedy]
        await _until(lambda: work.steps > 2 * CONNECTIONS)
        before, count = work.steps, 5
        for _ in range(count):
            assert await _get(light) == 200
        # The request and its answer take a handful of rounds of the loop. In each of them the
        # greedy user has one step.
        assert (work.steps - before) / count < CONNECTIONS / 4
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def test_slow_bodies_of_one_user_leave_seats_for_others() -> None:
    async def read(call: Call) -> web.StreamResponse:
        await call.http.read()
        return web.Response()

    control = FlowControl(40, 40)
    async with serving(Setup(handler=read, flow_control=control)) as port:
        queues = control.levels["workloads"]
        writers = []
        for _ in range(20):
            _, writer = await port.raw(GREEDY)
            writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" % THINGS.encode())
            writers.append(writer)
        await _until(lambda: queues.set.queues.length >= 15)
        assert queues.set.executing == queues.set.share < queues.set.seats
        async with port.client(LIGHT).post(THINGS, data=b"x") as response:
            assert response.status == 200
        for writer in writers:
            writer.transport.abort()
        await _until(lambda: not queues.set.executing and not queues.set.queues.length)


async def test_only_the_greedy_user_is_sent_away_and_the_log_names_it(caplog: pytest.LogCaptureFixture) -> None:
    gate = asyncio.Event()

    async def wait(call: Call) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    control = FlowControl(4, 4)
    waits: list[tuple[float, bool]] = []
    control.levels["workloads"].waited = lambda seconds, executed: waits.append((seconds, executed))
    async with serving(Setup(handler=wait, flow_control=control, max_connections=400)) as port:
        greedy, light = port.client(GREEDY), port.client(LIGHT)
        greedy.connector._limit = 0  # type: ignore[union-attr] # aiohttp has no way to change it
        flood = [asyncio.create_task(_get(greedy, f"{THINGS}/t")) for _ in range(200)]
        done, waiting = await asyncio.wait(flood, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {429}
        other = asyncio.create_task(_get(light, f"{THINGS}/t"))
        gate.set()
        assert await other == 200
        assert {await task for task in waiting} <= {200, 429}
    assert set(control.levels["workloads"].rejected) == {"queue-full"}
    assert len([seconds for seconds, executed in waits if executed]) == control.levels["workloads"].dispatched
    assert any(seconds > 0 for seconds, _ in waits), "requests that were queued have waited"
    assert any(seconds == 0 for seconds, _ in waits), "requests that found seats have not"
    assert "flow control refused requests: greedy (workloads): " in caplog.text
    assert "light" not in caplog.text


async def test_watches_of_one_user_are_bounded() -> None:
    entered, gate = asyncio.Semaphore(0), asyncio.Event()

    async def watch(call: Call) -> web.StreamResponse:
        entered.release()
        await gate.wait()
        return web.Response()

    control = FlowControl()
    queues = control.levels["workloads"]
    queues.level = replace(queues.level, watches=2)
    path = f"{THINGS}?watch=1"
    async with serving(Setup(handler=watch, flow_control=control)) as port:
        clients = [port.client(GREEDY), port.client(GREEDY), port.client(LIGHT), port.client(MASTER)]
        watches = [asyncio.create_task(_get(client, path)) for client in clients]
        for _ in watches:
            await asyncio.wait_for(entered.acquire(), 60)
        async with port.client(GREEDY).get(path) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
        gate.set()
        assert await asyncio.gather(*watches) == [200] * 4
        assert await _get(clients[0], path) == 200


async def test_the_controllers_have_seats_of_their_own() -> None:
    gate, entered = asyncio.Event(), asyncio.Event()

    async def handler(call: Call) -> web.StreamResponse:
        assert call.user is not None
        if call.user.name == CONTROLLERS:
            return web.Response()
        entered.set()
        await gate.wait()
        return web.Response()

    async with serving(Setup(handler=handler, flow_control=FlowControl(1, 1))) as port:
        flood = [asyncio.create_task(_get(port.client(client), f"{THINGS}/t")) for client in (GREEDY, LIGHT)]
        await asyncio.wait_for(entered.wait(), 60)
        async with port.client(PROXY).get("/version", headers={"X-Remote-User": CONTROLLERS}) as response:
            assert response.status == 200
        gate.set()
        assert await asyncio.gather(*flood) == [200, 200]


async def test_work_for_a_watch_is_charged_to_its_user() -> None:
    gate, charges = asyncio.Event(), []

    async def watch(call: Call) -> web.StreamResponse:
        charges.append(charging())
        await gate.wait()
        return web.Response()

    control = FlowControl()
    async with serving(Setup(handler=watch, flow_control=control)) as port:
        task = asyncio.create_task(_get(port.client(GREEDY), f"{THINGS}?watch=1"))
        await _until(lambda: bool(charges))
        charges[0](100.0)
        assert control.loop.seconds["workloads"] >= 100.0
        flow = control.loop._queue.flow(("workloads", "greedy"))
        assert flow.finish > control.loop._queue.now
        gate.set()
        assert await task == 200
