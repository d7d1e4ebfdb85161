"""Let leases end while controllers die at every call, clocks jump, and tenants extend at the last
moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.clock import timestamp
from apiserver.client.errors import ApiException
from tests.crashes import objects
from tests.crashes.checks import assert_sound, condition, phase
from tests.crashes.flows import Flow, gone, patiently, running_web
from tests.crashes.stack import EPOCH, Snapshot, Stack, running
from tests.crashes.test_crashpoints import live, points, prepared
from tests.crashes.virtual import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LENGTH = 600
CONSUMER = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine", "namespace": "tenant-a", "name": "m"}


class Wall:
    """The wall clocks of the server and of the controllers, in virtual time. `jump` is how far each
    is ahead."""

    def __init__(self) -> None:
        self.server, self.controllers = 0.0, 0.0

    def time(self) -> float:
        """Return the seconds since 1970 that the controllers see."""
        return EPOCH + asyncio.get_running_loop().time() + self.controllers

    def now(self) -> str:
        """Return the server's time."""
        return timestamp(datetime.fromtimestamp(EPOCH + asyncio.get_running_loop().time() + self.server, UTC))


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr("controllers.workload.lease.time", made)
    for module in ("apiserver.registry.workload", "apiserver.registry.claims.claims", "apiserver.registry.claims.heartbeat"):
        monkeypatch.setattr(f"{module}.now", made.now)
    return made


def life(main: Callable[[Stack], Coroutine[Any, Any, None]], **class_spec: Any) -> None:
    async def body() -> None:
        async with running() as stack:
            await stack.seed(2, **class_spec)
            stack.control()
            await stack.until(lambda: len(stack.management.all("BareMetalHost")) == 4)
            await main(stack)
            await stack.settled()
            assert_sound(stack)

    run(body)


async def extend(stack: Stack, seconds: int | None) -> None:
    lease = {"durationSeconds": seconds} if seconds else None
    await patiently(lambda: stack.management.patch("Workload", "web", {"spec": {"lease": lease}}, "tenant-a", who="tenant-a"))


async def start(stack: Stack, **spec: Any) -> None:
    await stack.management.create(objects.workload("web", **spec), who="tenant-a")
    await stack.until(lambda: phase(stack, "web") == "Running")


def lease_of(stack: Stack) -> Any:
    return stack.management.get("Workload", "web", "tenant-a")["status"].get("lease")


def reasons(stack: Stack) -> list[str]:
    return [event["reason"] for event in stack.management.all("Event") if event["involvedObject"]["kind"] == "Workload"]


@pytest.mark.timeout(900)
def test_killed_at_every_call_while_a_lease_ends(wall: Wall) -> None:
    flow = Flow("end of a lease", running_web, lambda stack: extend(stack, 60), gone)
    snapshot = prepared(flow)
    calls = run(partial(live, flow, snapshot, 0, False))
    assert sum(call.startswith("DELETE ") for call in calls) >= 1, calls
    for number, answered in points(calls):
        run(partial(live, flow, snapshot, number, answered))


def test_a_lease_of_its_class_warns_and_ends_with_a_clean_host(wall: Wall) -> None:
    async def main(stack: Stack) -> None:
        await start(stack)
        end = lease_of(stack)["expirationTimestamp"]
        await asyncio.sleep(LENGTH / 2 - 100)
        assert "LeaseEnds" not in reasons(stack)
        await stack.until(lambda: condition(stack, "web", "LeaseExpiring")["status"] == "True")
        assert end in condition(stack, "web", "LeaseExpiring")["message"]
        assert lease_of(stack)["expirationTimestamp"] == end
        await stack.until(lambda: stack.management.find("Workload", "web", "tenant-a") is None, 2 * LENGTH)
        assert {"LeaseEnds", "LeaseEnded"} <= set(reasons(stack))
        await stack.until(lambda: all(bmh["status"]["provisioning"]["state"] == "available" for bmh in stack.hardware.all("BareMetalHost")))

    life(main, lease={"defaultDurationSeconds": LENGTH})


def test_an_extension_at_the_last_moment_keeps_the_machine(wall: Wall) -> None:
    async def main(stack: Stack) -> None:
        await start(stack, lease={"durationSeconds": LENGTH})
        await stack.until(lambda: condition(stack, "web", "LeaseExpiring"), LENGTH)
        await extend(stack, 10 * LENGTH)
        await asyncio.sleep(2 * LENGTH)
        assert phase(stack, "web") == "Running"
        types = {item["type"] for item in stack.management.get("Workload", "web", "tenant-a")["status"]["conditions"]}
        assert not {"LeaseExpiring", "LeaseExpired"} & types
        with pytest.raises(ApiException, match="allows at most 6000 seconds"):
            await extend(stack, 10 * LENGTH + 1)
        with pytest.raises(ApiException, match="would be over already: choose a longer one"):
            await extend(stack, LENGTH)
        before = lease_of(stack)
        await extend(stack, None)
        assert lease_of(stack) == before, "the class has a maximum"

    life(main, lease={"maxDurationSeconds": 10 * LENGTH})


def test_without_rules_a_lease_is_the_tenants_own_choice(wall: Wall) -> None:
    async def main(stack: Stack) -> None:
        await start(stack)
        assert lease_of(stack) is None
        await extend(stack, LENGTH)
        assert lease_of(stack)["startTime"] == wall.now()
        await extend(stack, None)
        assert lease_of(stack) is None
        await asyncio.sleep(2 * LENGTH)
        assert phase(stack, "web") == "Running"

    life(main)


@pytest.mark.parametrize("whose", ["controllers", "server"])
def test_a_clock_that_jumps_ahead_ends_nothing(wall: Wall, whose: str) -> None:
    async def main(stack: Stack) -> None:
        await start(stack, lease={"durationSeconds": LENGTH})
        setattr(wall, whose, 3e7)
        await asyncio.sleep(LENGTH / 2)
        assert phase(stack, "web") == "Running"
        setattr(wall, whose, 0.0)
        grace = 2 * LENGTH if whose == "server" else 0  # its storage seems to have been away
        await stack.until(lambda: stack.management.find("Workload", "web", "tenant-a") is None, 2 * LENGTH + grace)

    life(main, lease={"maxDurationSeconds": 2 * LENGTH})


def test_controllers_whose_clock_is_wrong_from_the_start_end_nothing(wall: Wall) -> None:
    async def main(stack: Stack) -> None:
        await start(stack, lease={"durationSeconds": LENGTH})
        wall.controllers = 3e7
        await stack.processes[-1].kill()
        stack.control()
        await asyncio.sleep(LENGTH / 2)
        assert phase(stack, "web") == "Running", "the server knows better"
        assert "deletionTimestamp" not in stack.management.get("Workload", "web", "tenant-a")["metadata"]

    life(main)


HOUR = 3600


def after_a_snapshot(wall: Wall, later: Callable[[Stack], Coroutine[Any, Any, None]], **class_spec: Any) -> None:
    """Restore a snapshot, in which a Workload has a lease of LENGTH, when that is long over."""

    async def before() -> Snapshot:
        async with running() as stack:
            await stack.seed(2, **class_spec)
            stack.control()
            await start(stack, lease={"durationSeconds": LENGTH})
            return stack.snapshot()

    async def after() -> None:
        async with running(snapshot) as stack:
            stack.control()
            await later(stack)
            await stack.settled()
            assert_sound(stack)

    snapshot = run(before, seed=1)
    wall.server = wall.controllers = HOUR
    run(after)


def test_what_was_lent_when_a_snapshot_was_taken_gets_time_after_it_is_restored(wall: Wall) -> None:
    async def later(stack: Stack) -> None:
        await stack.until(lambda: "graceSince" in lease_of(stack))
        restored, expiring = lease_of(stack)["graceSince"], condition(stack, "web", "LeaseExpiring")
        await stack.until(lambda: "restored until" in condition(stack, "web", "LeaseExpiring")["message"])
        assert restored <= wall.now()
        await asyncio.sleep(2 * LENGTH - 120)
        assert phase(stack, "web") == "Running", expiring
        assert lease_of(stack)["graceSince"] == restored, "the grace is given once"
        await stack.until(lambda: stack.management.find("Workload", "web", "tenant-a") is None, 2 * LENGTH)

    after_a_snapshot(wall, later, lease={"maxDurationSeconds": 2 * LENGTH})


def test_the_grace_after_a_restore_is_enough_to_extend_the_lease_again(wall: Wall) -> None:
    async def later(stack: Stack) -> None:
        await stack.until(lambda: "graceSince" in lease_of(stack))
        await extend(stack, 2 * HOUR)
        assert "graceSince" not in lease_of(stack)
        await asyncio.sleep(LENGTH)
        assert phase(stack, "web") == "Running"
        types = {item["type"] for item in stack.management.get("Workload", "web", "tenant-a")["status"]["conditions"]}
        assert "LeaseExpired" not in types

    after_a_snapshot(wall, later)


def test_a_set_gives_its_machines_back_and_gets_others_only_when_it_is_changed(wall: Wall) -> None:
    def members(stack: Stack) -> list[str]:
        return sorted(one["metadata"]["name"] for one in stack.management.all("Workload"))

    async def main(stack: Stack) -> None:
        await stack.management.create(objects.workload_set("db", replicas=2), who="tenant-a")
        await stack.until(lambda: [phase(stack, name) for name in members(stack)] == ["Running"] * 2)
        await stack.until(lambda: not members(stack), 3 * LENGTH)
        await stack.until(lambda: condition_of_set(stack, "Ready")["reason"] == "LeaseEnded")
        await asyncio.sleep(2 * LENGTH)
        assert not members(stack)
        assert all(bmh["status"]["provisioning"]["state"] == "available" for bmh in stack.hardware.all("BareMetalHost"))
        await patiently(lambda: stack.management.patch("WorkloadSet", "db", {"spec": {"replicas": 1}}, "tenant-a", who="tenant-a"))
        await stack.until(lambda: [phase(stack, name) for name in members(stack)] == ["Running"])
        await stack.until(lambda: condition_of_set(stack, "Ready")["reason"] != "LeaseEnded")

    life(main, lease={"maxDurationSeconds": LENGTH})


def condition_of_set(stack: Stack, type_: str) -> Any:
    conditions = stack.management.get("WorkloadSet", "db", "tenant-a")["status"]["conditions"]
    return next(item for item in conditions if item["type"] == type_)


def test_a_claim_through_the_view_has_its_classs_lease(wall: Wall) -> None:
    async def main(stack: Stack) -> None:
        await stack.management.patch("BareMetalHost", "h0", {"spec": {"consumerRef": CONSUMER}}, "tenant-a", who="tenant-a")
        lease = stack.management.get("Workload", "h0", "tenant-a")["status"]["lease"]
        assert lease["startTime"] == wall.now()
        await stack.until(lambda: stack.management.find("Workload", "h0", "tenant-a") is None, 2 * LENGTH)

    life(main, lease={"maxDurationSeconds": LENGTH})
