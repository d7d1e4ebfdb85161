"""Answer a claim through the view once the real host was taken for it, and with 409 when another
client was faster."""

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
from apiserver.registry.claims.confirmation import Places
from apiserver.registry.generic.context import DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries
from tests.unit.apiserver.server.harness import CLIENTS, Setup, serving
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from apiserver.handlers.request.call import Call

LONG = 600.0
"""Seconds that no test waits."""


async def connected(registries: Registries, status: str = "True") -> None:
    """Create the class of the hosts, whose controllers report that its source answers."""
    await registries.classes.create(CONTEXT, "", {"metadata": {"name": "metal"}, "spec": {"provisioner": "metal3.io/baremetalhost"}})

    def say(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "status": {"conditions": with_condition(old, "Connected", status, "Connected", "")}}

    await registries.classes.update(CONTEXT, "", "metal", say, subresource="status")


async def claimed(registries: Registries) -> str:
    """Wait for a claim to be recorded, and return the Workload's name."""
    await eventually(lambda: len(registries.workloads.collection) > 0)
    return next(iter(registries.workloads.collection.range())).name


async def confirm(registries: Registries, name: str) -> None:
    def say(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "status": {**old["status"], "conditions": with_condition(old, "Bound", "True", "Bound", "")}}

    await registries.workloads.update(CONTEXT, "tenant-a", name, say, subresource="status")


async def lose(registries: Registries, name: str) -> None:
    """Handle a lost claim as the controllers do: delete its Workload, clear the claim, and remove
    the Workload's finalizers."""
    await registries.workloads.delete(CONTEXT, "tenant-a", name, DeleteOptions())
    host = next(iter(registries.hosts.collection.range()))
    await registries.hosts.update(CONTEXT, "", host.name, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})

    def release(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "metadata": {k: v for k, v in old["metadata"].items() if k != "finalizers"}}

    await registries.workloads.update(CONTEXT, "tenant-a", name, release)


async def looks() -> None:
    """Let a waiting claim look at its Workload many times: once per iteration of the loop."""
    for _ in range(50):
        await asyncio.sleep(0)


async def claim(registries: Registries) -> dict[str, Any]:
    return await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)


async def test_a_claim_waits_for_the_source(registries: Registries) -> None:
    await connected(registries)
    await registries.add_host()
    registries.views.confirmations.seconds = LONG
    registries.views.confirmations.interval = 0.0
    answer = asyncio.ensure_future(claim(registries))
    name = await claimed(registries)
    await looks()
    assert not answer.done()
    await confirm(registries, name)
    assert (await answer)["spec"]["consumerRef"] == CONSUMER


async def test_a_lost_claim_is_a_conflict_and_leaves_the_host_without_a_claim(registries: Registries) -> None:
    await connected(registries)
    await registries.add_host()
    registries.views.confirmations.seconds = LONG
    answer = asyncio.ensure_future(claim(registries))
    await lose(registries, await claimed(registries))
    with pytest.raises(ApiError) as lost:
        await answer
    assert lost.value.code == 409
    assert "choose another one" in lost.value.message
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert "consumerRef" not in view["spec"]
    assert len(registries.workloads.collection) == 0


async def test_the_answer_waits_for_the_release_of_a_lost_claim(registries: Registries) -> None:
    await connected(registries)
    await registries.add_host()
    registries.views.confirmations.seconds = LONG
    registries.views.confirmations.interval = 0.0
    answer = asyncio.ensure_future(claim(registries))
    name = await claimed(registries)
    await registries.workloads.delete(CONTEXT, "tenant-a", name, DeleteOptions())
    await looks()
    assert not answer.done(), "CAPM3 would find its consumerRef in place, and go on with the host"
    await lose(registries, name)
    with pytest.raises(ApiError):
        await answer


async def test_what_is_not_known_in_time_is_answered_as_a_claim(registries: Registries) -> None:
    await connected(registries)
    await registries.add_host()
    registries.views.confirmations.seconds = 2 * confirmation.LOOK
    assert (await claim(registries))["spec"]["consumerRef"] == CONSUMER


@pytest.mark.parametrize("status", ["", "False"])
async def test_without_controllers_nothing_is_waited_for(registries: Registries, status: str) -> None:
    if status:
        await connected(registries, status)
    await registries.add_host()
    registries.views.confirmations.seconds = LONG
    async with asyncio.timeout(LONG / 10):
        await claim(registries)


async def test_a_dry_run_and_a_change_wait_for_nothing(registries: Registries) -> None:
    await connected(registries)
    await registries.add_host()
    registries.views.confirmations.seconds = LONG
    async with asyncio.timeout(LONG / 10):
        await registries.patch_view("tenant-a", "node-0", replace(CONTEXT, dry_run=True), consumerRef=CONSUMER)
        registries.views.confirmations.seconds = 0.0
        await claim(registries)
        registries.views.confirmations.seconds = LONG
        await registries.patch_view("tenant-a", "node-0", online=False)


async def test_no_more_than_a_few_claims_of_a_namespace_wait_at_once(registries: Registries) -> None:
    await connected(registries)
    names = [f"node-{number}" for number in range(confirmation.OF_ONE_NAMESPACE + 2)]
    for name in names:
        await registries.add_host(name)
    registries.views.confirmations.seconds = LONG
    claims = [asyncio.ensure_future(registries.patch_view("tenant-a", name, consumerRef={**CONSUMER, "name": name})) for name in names]
    await eventually(lambda: sum(done.done() for done in claims) == 2)
    for entry in list(registries.workloads.collection.range()):
        await confirm(registries, entry.name)
    await asyncio.gather(*claims)


async def test_waiting_claims_keep_no_seats(registries: Registries) -> None:
    """Give a user one seat and the level four: four waiting claims would then hold up everybody."""
    await connected(registries)
    names = [f"node-{number}" for number in range(confirmation.OF_ONE_NAMESPACE)]
    for name in names:
        await registries.add_host(name)
    registries.views.confirmations.seconds = LONG

    async def handle(call: Call) -> web.StreamResponse:
        if call.info.verb == "patch":
            await registries.patch_view("tenant-a", call.info.name, consumerRef={**CONSUMER, "name": call.info.name})
        return web.Response()

    control = FlowControl(4, 4)
    seats, alice, path = control.levels["workloads"].set, CLIENTS.issue("alice"), "/apis/g/v1/namespaces/n/things"
    assert (seats.seats, seats.share) == (4, 1)
    async with serving(Setup(handler=handle, flow_control=control, request_seconds=LONG)) as port:
        clients = [port.client(alice) for _ in names]
        claims = [asyncio.ensure_future(client.patch(f"{path}/{name}")) for client, name in zip(clients, names, strict=True)]
        await eventually(lambda: len(registries.workloads.collection) == len(names) and seats.executing == 0)
        for client in (alice, CLIENTS.issue("bob")):
            async with port.client(client).get(f"{path}/t") as response:
                assert response.status == 200
        assert not any(claim.done() for claim in claims)
        for entry in list(registries.workloads.collection.range()):
            await confirm(registries, entry.name)
        assert [(await claim).status for claim in claims] == [200] * len(claims)
        assert seats.executing == seats.requests == 0


def test_no_user_takes_all_the_places() -> None:
    """One user with eight namespaces fills them; every other user gets a place all the same."""
    places = Places(32, 4)
    greedy = [places.take("mallory", f"m{number % 8}") for number in range(40)]
    assert (len(places), sum(waiter is not None for waiter in greedy)) == (32, 32)
    others = [places.take(f"user{number}", f"u{number}") for number in range(31)]
    assert all(others)
    assert len(places) == 32
    assert sum(waiter.ended for waiter in greedy if waiter is not None) == 31
    assert not any(waiter.ended for waiter in others if waiter is not None)
    assert places.take("mallory", "m9") is None, "she has as many as the others"


def test_the_namespaces_of_one_user_share_its_places() -> None:
    """Cluster API's controllers claim for all tenants as one service account."""
    places = Places(8, 4)
    for namespace in ("a", "b"):
        for _ in range(4):
            assert places.take("capm3", namespace) is not None
    first = places.take("capm3", "c")
    assert first is not None
    assert places.take("capm3", "a") is None
    assert places.take("capm3", "c") is not None
    assert not first.ended


def test_shares_do_not_swing() -> None:
    """Two users with equal shares take no places from each other."""
    places = Places(4, 4)
    for flow in ("a", "b", "a", "b"):
        assert places.take(flow, flow) is not None
    assert places.take("a", "a") is None
    assert places.take("b", "b") is None


def test_places_are_given_back_once() -> None:
    places = Places(2, 2)
    one, two = places.take("a", "a"), places.take("a", "a")
    assert one is not None
    assert two is not None
    assert places.take("b", "b") is not None
    assert (one.ended, two.ended) == (False, True), "the newest ends"
    places.leave(two)
    assert len(places) == 2
    places.leave(one)
    assert len(places) == 1


async def test_a_claim_that_gives_up_its_place_is_answered(registries: Registries) -> None:
    await connected(registries)
    names = ["node-0", "node-1"]
    for name in names:
        await registries.add_host(name)
    registries.views.confirmations.seconds = LONG
    registries.views.confirmations.places = Places(2, 2)
    claims = [asyncio.ensure_future(registries.patch_view("tenant-a", name, consumerRef={**CONSUMER, "name": name})) for name in names]
    await eventually(lambda: len(registries.views.confirmations.places) == 2)
    assert registries.views.confirmations.places.take("somebody else", "tenant-b") is not None
    await eventually(lambda: sum(done.done() for done in claims) == 1)
    [answered] = [done for done in claims if done.done()]
    assert "consumerRef" in answered.result()["spec"], "as when the outcome is not known in time"
    for entry in list(registries.workloads.collection.range()):
        await confirm(registries, entry.name)
    await asyncio.gather(*claims)


@pytest.mark.parametrize(
    ("name", "flow"),
    [("alice", "alice"), ("system:serviceaccount:team-a:one", "system:serviceaccount:team-a"), ("alice:bob", "alice:bob")],
)
def test_service_accounts_of_a_namespace_are_one_flow(name: str, flow: str) -> None:
    assert UserInfo(name).flow == flow
