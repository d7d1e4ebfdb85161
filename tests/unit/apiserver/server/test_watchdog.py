"""Check the report about an event loop that was blocked."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp.test_utils import make_mocked_request

from apiserver.handlers.request.call import Call
from apiserver.registry.generic.context import UserInfo
from apiserver.server.metrics import Metrics
from apiserver.server.watchdog import SLOW, Watchdog

if TYPE_CHECKING:
    import pytest


def call(name: str = "alice", path: str = "/apis/g/v1/namespaces/n/things/x") -> Call:
    made = Call(make_mocked_request("PUT", path))
    made.parse()
    made.user, made.audit_id = UserInfo(name), "a-1"
    return made


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_slow_step_is_logged_with_its_request(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(Clock())
    watchdog.took(call(), SLOW / 2)
    assert not caplog.messages
    watchdog.took(call("ev\nil" + "x" * 10_000), 2 * SLOW)
    (message,) = caplog.messages
    assert message.startswith("audit ID a-1: update '/apis/g/v1/namespaces/n/things/x' by 'ev\\nil")
    assert message.endswith("held the event loop for 100 ms")
    assert len(message) < 1000


def test_lines_are_few_and_say_how_many_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    for _ in range(10):
        watchdog.took(call(), 1)
    clock.now += 2
    watchdog.took(call(), 1)
    assert [message.endswith("(9 more since the last such line)") for message in caplog.messages] == [False, True]


def test_a_late_heartbeat_is_logged_unless_a_request_explains_it(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.took(call(), 1)
    clock.now += 2
    watchdog.beat(1)
    assert len(caplog.messages) == 1
    watchdog.beat(1)
    assert caplog.messages[1] == "the event loop was held for 1000 ms, by no single request"


class Beats(Watchdog):
    """Announce each beat."""

    def __init__(self) -> None:
        super().__init__()
        self.beats: asyncio.Queue[float] = asyncio.Queue()

    def beat(self, late: float) -> None:
        super().beat(late)
        self.beats.put_nowait(late)


async def test_whatever_holds_the_loop_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Beats()
    task = asyncio.create_task(watchdog.run())
    async with asyncio.timeout(60):
        await watchdog.beats.get()
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 (it is to hold the loop)
        assert await watchdog.beats.get() > 0.1
    task.cancel()
    assert any("by no single request" in message for message in caplog.messages)


def test_metrics() -> None:
    watchdog, metrics = Watchdog(), Metrics()
    metrics.histogram("apiserver_event_loop_step_seconds", "Steps.", watchdog.steps)
    watchdog.took(call(), 0.07)
    value = metrics.registry.get_sample_value
    assert value("apiserver_event_loop_step_seconds_bucket", {"le": "0.05"}) == 0
    assert value("apiserver_event_loop_step_seconds_bucket", {"le": "0.1"}) == 1
    assert value("apiserver_event_loop_step_seconds_count") == 1
