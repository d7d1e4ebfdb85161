"""Check that the time that a request waits is separated from the time of its own work."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from apiserver.admission.mutating import MutatingWebhooks
from apiserver.admission.reinvocation import Mutators
from apiserver.admission.validating import ValidatingWebhooks
from apiserver.filters.flowcontrol import FlowControl
from apiserver.registry.generic.latency import track_latency, track_wait
from tests.unit.apiserver.admission.writes import Answering, allowing, configuration, configurations, dispatcher, write
from tests.unit.apiserver.server.harness import CLIENTS, Setup, serving

if TYPE_CHECKING:
    from apiserver.admission.configurations import Webhook
    from apiserver.handlers.request.call import Call

PAUSE = 0.3
PATH = "/apis/g/v1/things"
ALICE = CLIENTS.issue("alice")


class Slow(Answering):
    """Answer after a pause."""

    async def call(self, webhook: Webhook, body: bytes) -> bytes:
        await asyncio.sleep(PAUSE)
        return await super().call(webhook, body)


class Namespaces:
    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        return {"metadata": {"name": name}}


def sums(setup: Setup) -> tuple[float, float]:
    """Return the seconds of all requests: in all, and without their waits."""
    found = []
    for name in ("duration", "sli_duration"):
        samples = [
            one
            for family in setup.metrics.registry.collect()
            if family.name == f"apiserver_request_{name}_seconds"
            for one in family.samples
            if one.name.endswith("_sum")
        ]
        found.append(sum(sample.value for sample in samples))
    return found[0], found[1]


async def test_a_requests_waits_are_left_out_of_one_of_its_durations() -> None:
    async def handler(call: Call) -> web.StreamResponse:
        await asyncio.sleep(PAUSE)
        with track_wait():
            await asyncio.sleep(PAUSE)
        return web.Response()

    setup = Setup(handler=handler)
    async with serving(setup) as port, port.client(ALICE).get(PATH) as response:
        assert response.status == 200
    whole, own = sums(setup)
    assert whole - own >= PAUSE
    assert own >= PAUSE


async def test_the_wait_for_a_seat_is_one() -> None:
    async def handler(call: Call) -> web.StreamResponse:
        await asyncio.sleep(PAUSE)
        return web.Response()

    setup = Setup(handler=handler, flow_control=FlowControl(1, 1))
    async with serving(setup) as port:

        async def get() -> None:
            async with port.client(ALICE).get(PATH) as response:
                assert response.status == 200

        await asyncio.gather(get(), get(), get())
    whole, own = sums(setup)
    assert own >= 3 * PAUSE
    assert whole - own >= PAUSE, "of three requests of one user, only one has a seat"


@pytest.mark.parametrize(("mutating", "times"), [(True, 2), (False, 1)])
async def test_calls_of_webhooks_are_waits_and_those_at_the_same_time_count_once(mutating: bool, times: int) -> None:
    given = configurations(configuration("c", {"name": "v"}, {"name": "w"}))
    calling = dispatcher(given, Namespaces(), Slow(v=allowing(), w=allowing()), mutating=mutating)
    plugin = Mutators(MutatingWebhooks(calling)) if mutating else ValidatingWebhooks(calling)
    began = time.perf_counter()
    with track_latency() as tracker:
        await plugin.admit(write())
    assert times * PAUSE <= tracker.seconds <= time.perf_counter() - began


async def test_what_waits_for_no_request_is_not_counted() -> None:
    with track_latency() as tracker:
        pass
    with track_wait():
        await asyncio.sleep(0)
    assert tracker.seconds == 0
