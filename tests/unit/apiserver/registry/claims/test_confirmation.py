"""Answer a claim through the view once the real host was taken for it, and with 409 when somebody
else was faster."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from apiserver.apis.status import ApiError
from apiserver.filters.flowcontrol import FlowControl
from apiserver.registry.claims import confirmation
from apiserver.registry.claims.claims import with_condition
from apiserver.registry.generic.context import DeleteOptions
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Bench
from tests.unit.apiserver.server.harness import CLIENTS, Setup, serving
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from apiserver.handlers.request.call import Call

LONG = 600.0
"""Seconds that no test waits."""


async def connected(bench: Bench, status: str = "True") -> None:
    """Create the class of the hosts, whose controllers report that its source answers."""
    await bench.classes.create(CONTEXT, "", {"metadata": {"name": "metal"}, "spec": {"provisioner": "metal3.io/baremetalhost"}})

    def say(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "status": {"conditions": with_condition(old, "Connected", status, "Connected", "")}}

    await bench.classes.update(CONTEXT, "", "metal", say, subresource="status")


async def claimed(bench: Bench) -> str:
    """Wait for a claim to be recorded, and return the Workload's name."""
    await eventually(lambda: len(bench.workloads.collection) > 0)
    return next(iter(bench.workloads.collection.range())).name


async def confirm(bench: Bench, name: str) -> None:
    def say(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "status": {**old["status"], "conditions": with_condition(old, "Bound", "True", "Bound", "")}}

    await bench.workloads.update(CONTEXT, "tenant-a", name, say, subresource="status")


async def lose(bench: Bench, name: str) -> None:
    """Treat a lost claim as the controllers do: delete its Workload, clear the claim, and remove
    the Workload's finalizers."""
    await bench.workloads.delete(CONTEXT, "tenant-a", name, DeleteOptions())
    host = next(iter(bench.hosts.collection.range()))
    await bench.hosts.update(CONTEXT, "", host.name, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})

    def release(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "metadata": {k: v for k, v in old["metadata"].items() if k != "finalizers"}}

    await bench.workloads.update(CONTEXT, "tenant-a", name, release)


async def claim(bench: Bench) -> dict[str, Any]:
    return await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)


async def test_a_claim_waits_for_the_source(bench: Bench) -> None:
    await connected(bench)
    await bench.add_host()
    bench.views.confirmations.seconds = LONG
    answer = asyncio.ensure_future(claim(bench))
    name = await claimed(bench)
    await asyncio.sleep(2 * confirmation.LOOK)
    assert not answer.done()
    await confirm(bench, name)
    assert (await answer)["spec"]["consumerRef"] == CONSUMER


async def test_a_lost_claim_is_a_conflict_and_the_host_nobodys(bench: Bench) -> None:
    await connected(bench)
    await bench.add_host()
    bench.views.confirmations.seconds = LONG
    answer = asyncio.ensure_future(claim(bench))
    await lose(bench, await claimed(bench))
    with pytest.raises(ApiError) as lost:
        await answer
    assert lost.value.code == 409
    assert "choose another one" in lost.value.message
    view = bench.view("tenant-a", "node-0")
    assert view is not None
    assert "consumerRef" not in view["spec"]
    assert len(bench.workloads.collection) == 0


async def test_the_answer_waits_for_the_release_of_a_lost_claim(bench: Bench) -> None:
    await connected(bench)
    await bench.add_host()
    bench.views.confirmations.seconds = LONG
    answer = asyncio.ensure_future(claim(bench))
    name = await claimed(bench)
    await bench.workloads.delete(CONTEXT, "tenant-a", name, DeleteOptions())
    await asyncio.sleep(2 * confirmation.LOOK)
    assert not answer.done(), "CAPM3 would find its consumerRef in place, and go on with the host"
    await lose(bench, name)
    with pytest.raises(ApiError):
        await answer


async def test_what_is_not_known_in_time_is_answered_as_a_claim(bench: Bench) -> None:
    await connected(bench)
    await bench.add_host()
    bench.views.confirmations.seconds = 2 * confirmation.LOOK
    assert (await claim(bench))["spec"]["consumerRef"] == CONSUMER


@pytest.mark.parametrize("status", ["", "False"])
async def test_without_controllers_nothing_is_waited_for(bench: Bench, status: str) -> None:
    if status:
        await connected(bench, status)
    await bench.add_host()
    bench.views.confirmations.seconds = LONG
    async with asyncio.timeout(LONG / 10):
        await claim(bench)


async def test_a_dry_run_and_a_change_wait_for_nothing(bench: Bench) -> None:
    await connected(bench)
    await bench.add_host()
    bench.views.confirmations.seconds = LONG
    async with asyncio.timeout(LONG / 10):
        await bench.patch_view("tenant-a", "node-0", replace(CONTEXT, dry_run=True), consumerRef=CONSUMER)
        bench.views.confirmations.seconds = 0.0
        await claim(bench)
        bench.views.confirmations.seconds = LONG
        await bench.patch_view("tenant-a", "node-0", online=False)


async def test_no_more_than_a_few_claims_of_a_namespace_wait_at_once(bench: Bench) -> None:
    await connected(bench)
    names = [f"node-{number}" for number in range(confirmation.OF_ONE_NAMESPACE + 2)]
    for name in names:
        await bench.add_host(name)
    bench.views.confirmations.seconds = LONG
    claims = [asyncio.ensure_future(bench.patch_view("tenant-a", name, consumerRef={**CONSUMER, "name": name})) for name in names]
    await eventually(lambda: sum(done.done() for done in claims) == 2)
    for entry in list(bench.workloads.collection.range()):
        await confirm(bench, entry.name)
    await asyncio.gather(*claims)


async def test_waiting_claims_keep_no_seats(bench: Bench) -> None:
    """Give a user one seat and the level four: four waiting claims would then hold up everybody."""
    await connected(bench)
    names = [f"node-{number}" for number in range(confirmation.OF_ONE_NAMESPACE)]
    for name in names:
        await bench.add_host(name)
    bench.views.confirmations.seconds = LONG

    async def handle(call: Call) -> web.StreamResponse:
        if call.info.verb == "patch":
            await bench.patch_view("tenant-a", call.info.name, consumerRef={**CONSUMER, "name": call.info.name})
        return web.Response()

    control = FlowControl(4, 4)
    seats, alice, path = control.levels["workloads"].set, CLIENTS.issue("alice"), "/apis/g/v1/namespaces/n/things"
    assert (seats.seats, seats.share) == (4, 1)
    async with serving(Setup(handler=handle, flow_control=control, request_seconds=LONG)) as port:
        clients = [port.client(alice) for _ in names]
        claims = [asyncio.ensure_future(client.patch(f"{path}/{name}")) for client, name in zip(clients, names, strict=True)]
        await eventually(lambda: len(bench.workloads.collection) == len(names) and seats.executing == 0)
        for client in (alice, CLIENTS.issue("bob")):
            async with port.client(client).get(f"{path}/t") as response:
                assert response.status == 200
        assert not any(claim.done() for claim in claims)
        for entry in list(bench.workloads.collection.range()):
            await confirm(bench, entry.name)
        assert [(await claim).status for claim in claims] == [200] * len(claims)
        assert seats.executing == seats.requests == 0
