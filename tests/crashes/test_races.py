"""Cover races: twenty claims of twenty hosts, and two management clusters on one hardware cluster.
An owner also changes real hosts at any moment of their claims. No host is used twice, and each
loser reads what to do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.errors import ApiException
from tests.crashes import objects
from tests.crashes.checks import assert_sound, find_condition, phase
from tests.crashes.stack import BMH, ApiServer, Stack, running
from tests.crashes.virtual import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MANY = 20
TENANTS = [f"tenant-{number:02}" for number in range(MANY)]


def shaky(seed: int) -> Callable[[], float]:
    """Return a random delay for each piece of data, so that each seed of a race has another
    winner."""
    chance = random.Random(seed)
    return lambda: chance.choice([0.0, 0.0, 0.001, 0.004, 0.02])


def consumer(where: str) -> dict[str, Any]:
    return {"kind": "Metal3Machine", "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "namespace": where, "name": "m"}


async def claim_one(server: ApiServer, where: str, refused: Counter[str]) -> str:
    """Claim a host as CAPM3 does: choose a free one at random, and choose again when another client
    was faster. Return its name."""
    chance = random.Random(where)
    for _ in range(200):
        page = await server.client(where).list_page(BMH, where)
        free = [item for item in page["items"] if "consumerRef" not in item["spec"] and not item["metadata"].get("deletionTimestamp")]
        if not free:
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            continue
        name = str(chance.choice(free)["metadata"]["name"])
        spec = {"consumerRef": consumer(where), "image": objects.image(), "online": True}
        refusal = await _refusal(lambda name=name, spec=spec: server.patch("BareMetalHost", name, {"spec": spec}, where, who=where))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
        if refusal is None:
            return name
        assert "choose another" in refusal.message or refusal.not_found, refusal
        refused[refusal.reason] += 1
    raise AssertionError(f"{where} got no host")


async def _refusal(send: Callable[[], Awaitable[Any]]) -> ApiException | None:
    try:
        await send()
    except ApiException as error:
        return error
    return None


@pytest.mark.timeout(600)
def test_twenty_tenants_claim_the_same_twenty_hosts_at_once() -> None:
    async def main() -> None:
        async with running(delay=shaky(1)) as stack:
            await stack.seed(MANY)
            await stack.management.create(*(objects.namespace(name) for name in TENANTS))
            stack.control()
            await stack.until(
                lambda: sum(len(host["spec"].get("offers") or ()) for host in stack.management.all("Host")) == MANY * (MANY + 2)
            )
            refused: Counter[str] = Counter()
            names = await asyncio.gather(*(claim_one(stack.management, where, refused) for where in TENANTS))
            assert sorted(names) == sorted(f"h{number}" for number in range(MANY)), "each has one of its own"
            assert refused.total() > 0, "there was no race"
            done = [("provisioned", True)] * MANY
            await stack.until(lambda: [_state(bmh) for bmh in stack.hardware.all("BareMetalHost")] == done)
            assert sorted(name for name, _ in stack.guard.installed) == sorted(names)
            await stack.settled()
            for where, name in zip(TENANTS, names, strict=True):
                reference = stack.management.get("BareMetalHost", name, where)["spec"]["consumerRef"]
                assert reference == consumer(where)
                assert stack.real(name)["spec"]["consumerRef"]["namespace"] == where
            assert_sound(stack)

    run(main)


def _state(bmh: dict[str, Any]) -> tuple[str, bool]:
    return bmh["status"]["provisioning"]["state"], bmh["status"]["poweredOn"]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seed", "hosts", "each"), [(0, 4, 3), (1, 4, 3), (2, 4, 3), (3, MANY, MANY)])
def test_two_management_clusters_share_one_hardware_cluster(seed: int, hosts: int, each: int) -> None:
    """Check that both clusters take hosts that they see as free. The loser of a host takes another
    one. When none is left it waits, and gets the next free one."""

    async def main() -> None:
        async with running(managements=("east", "west"), delay=shaky(seed)) as stack:
            await stack.seed(hosts)
            for name in stack.managements:
                stack.control(name)
            servers = list(stack.managements.values())
            await stack.until(lambda: all(len(server.all("BareMetalHost")) == 2 * hosts for server in servers))
            wanted = [(server, f"w{number}") for number in range(each) for server in servers]
            await asyncio.gather(*(server.create(objects.workload(name), who="tenant-a") for server, name in wanted))
            await stack.until(lambda: sum(_phase(server, name) == "Running" for server, name in wanted) == hosts)
            assert sum(_lost_a_race(server) for server in servers) > 0, "there was no race"
            await stack.settled()
            assert_sound(stack)
            assert sorted(name for name, _ in stack.guard.installed) == sorted(f"h{number}" for number in range(hosts)), "each once"
            losers = [(server, name) for server, name in wanted if _phase(server, name) != "Running"]
            # A loser says HostTaken until its next turn.
            await stack.until(lambda: [_bound(server, name) for server, name in losers] == [("False", "NoHostFits")] * len(losers))
            for server, name in [pair for pair in wanted if pair not in losers]:
                await server.delete("Workload", name, "tenant-a", who="tenant-a")
            await stack.until(lambda: sum(_phase(server, name) == "Running" for server, name in losers) == min(len(losers), hosts), 900)
            await stack.settled()
            assert_sound(stack)
            for server, name in losers:
                await server.delete("Workload", name, "tenant-a", who="tenant-a")
            await stack.until(lambda: all(len(server.all("BareMetalHost")) == 2 * hosts for server in servers), 900)
            await stack.settled()
            assert_sound(stack)

    run(main, seed=seed)


def _lost_a_race(server: ApiServer) -> int:
    """Return how many Workloads had a host that another client was faster to take."""
    return sum(event["reason"] == "HostTaken" for event in server.all("Event"))


def _bound(server: ApiServer, name: str) -> tuple[str, str]:
    condition = find_condition(server.get("Workload", name, "tenant-a"), "Bound")
    return condition["status"], condition["reason"]


def _phase(server: ApiServer, name: str) -> str:
    found = server.find("Workload", name, "tenant-a")
    return str((found or {}).get("status", {}).get("phase"))


HOLDS: dict[str, dict[str, Any]] = {
    "edited": {"metadata": {"labels": {"size": "xl"}}},
    "powered by hand": {"spec": {"online": False}},
    "paused": {"metadata": {"annotations": {"baremetalhost.metal3.io/paused": ""}}},
    "detached": {"metadata": {"annotations": {"baremetalhost.metal3.io/detached": ""}}},
}
UNDO = {"metadata": {"annotations": {"baremetalhost.metal3.io/paused": None, "baremetalhost.metal3.io/detached": None}}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", [*HOLDS, "deleted"])
def test_the_owner_changes_the_real_host_at_any_moment_of_its_claim(what: str) -> None:
    moments = [0.0, 0.05, 0.2, 1.0, 2.0, 3.0, 4.0, 8.0]

    async def main(moment: float) -> None:
        async with running() as stack:
            await stack.seed(1)
            stack.control()
            await stack.until(lambda: [host["spec"].get("offers") for host in stack.management.all("Host")] == [["tenant-a", "tenant-b"]])
            await stack.management.create(objects.workload("web"), who="tenant-a")
            await asyncio.sleep(moment)
            if what == "deleted":
                await stack.hardware.delete("BareMetalHost", "h0", objects.HARDWARE)
            else:
                await _insist(stack, HOLDS[what])
            await asyncio.sleep(40)
            await stack.settled()
            assert_sound(stack)
            if what == "deleted":
                await _gone(stack)
                return
            if phase(stack, "web") != "Running":
                reported, bound = (
                    find_condition(stack.management.get("Workload", "web", "tenant-a"), type_) for type_ in ("Ready", "Bound")
                )
                assert what in reported["message"].lower() or (bound["status"], bound["reason"]) == ("False", reported["reason"]), reported
            await _insist(stack, UNDO)
            await stack.until(lambda: phase(stack, "web") == "Running")
            await stack.settled()
            assert_sound(stack)

    for moment in moments:
        run(lambda moment=moment: main(moment))  # type: ignore[misc] # mypy does not infer the defaults of lambdas


async def _gone(stack: Stack) -> None:
    """Check that the tenant sees the loss, and that its Workload can be deleted."""
    assert phase(stack, "web") in ("Lost", "Pending")
    await stack.management.delete("Workload", "web", "tenant-a", who="tenant-a")
    await stack.until(lambda: stack.management.find("Workload", "web", "tenant-a") is None and stack.management.all("Host") == [])
    assert_sound(stack)


async def _insist(stack: Stack, patch: dict[str, Any]) -> None:
    await stack.hardware.patch("BareMetalHost", "h0", patch, objects.HARDWARE)
