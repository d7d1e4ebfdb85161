"""Check that a quota of one admits one host, however a tenant tries to get more. Whatever outlives
its Workload still counts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.errors import ApiException
from storage.base import Delete
from tests.crashes import objects
from tests.crashes.checks import assert_sound, condition, phase
from tests.crashes.stack import Stack, running
from tests.crashes.virtual import run

if TYPE_CHECKING:
    from collections.abc import Coroutine

HOSTS = 3
CLASS = "metal.workloadclass.workload.metal3.io/hosts"
FREE_FOR_ALL = {"cleaning": {"mode": "metadata", "tenantMayDisable": True}, "reclaim": {"tenantMayRetain": True}}
CONSUMER = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine", "namespace": "tenant-a", "name": "m"}
MARK = {"metadata": {"annotations": {"capm3.metal3.io/unhealthy": "fan"}}}


def life(main: Any, hard: int = 1, **class_spec: Any) -> None:
    """Run the test with hosts that are offered to both tenants, and a quota in tenant-a."""

    async def body() -> None:
        async with running() as stack:
            await stack.seed(HOSTS, **(class_spec or FREE_FOR_ALL))
            stack.management.quotas.hard["tenant-a"] = hard
            stack.control()
            await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
            coroutine: Coroutine[Any, Any, None] = main(stack)
            await coroutine
            await stack.settled()
            assert_sound(stack)

    run(body)


def offers(stack: Stack, namespace: str) -> int:
    """Return how many hosts the namespace could claim."""
    views = stack.management.all("BareMetalHost")
    return sum(view["metadata"]["namespace"] == namespace and "consumerRef" not in view["spec"] for view in views)


async def refused(stack: Stack, name: str = "more", **spec: Any) -> str:
    """Create one more Workload, and return the message that refuses it."""
    with pytest.raises(ApiException) as error:
        await stack.management.create(objects.workload(name, **spec), who="tenant-a")
    assert error.value.status == 403
    return error.value.message


async def gone(stack: Stack, name: str) -> None:
    await stack.until(lambda: stack.management.find("Workload", name, "tenant-a") is None)


async def lived(stack: Stack, name: str, **spec: Any) -> None:
    """Take a Workload from its creation to its end."""
    await stack.management.create(objects.workload(name, **spec), who="tenant-a")
    await stack.until(lambda: phase(stack, name) == "Running")
    await stack.management.delete("Workload", name, "tenant-a", who="tenant-a")
    await gone(stack, name)


def test_what_is_clean_is_given_back_before_its_workload_has_gone() -> None:
    async def main(stack: Stack) -> None:
        for name in ("one", "two", "three"):
            await lived(stack, name)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
        assert all("chargedTo" not in host["spec"] for host in stack.management.all("Host"))

    life(main)


def test_a_retained_host_counts_until_its_owner_has_freed_it() -> None:
    async def main(stack: Stack) -> None:
        await lived(stack, "one", reclaimPolicy="Retain")
        assert "1 of them are hosts that earlier Workloads" in await refused(stack)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS - 1)
        [kept] = [bmh["metadata"]["name"] for bmh in stack.hardware.all("BareMetalHost") if bmh["spec"].get("image")]
        marks = {"workload.metal3.io/quarantined": None, "workload.metal3.io/dirty-for": None}
        await stack.hardware.patch("BareMetalHost", kept, {"spec": {"image": None, "online": False}}, objects.HARDWARE)
        await stack.hardware.patch("BareMetalHost", kept, {"metadata": {"annotations": marks}}, objects.HARDWARE)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
        await lived(stack, "two")

    life(main)


def test_an_uncleaned_host_counts_but_may_be_taken_again() -> None:
    async def main(stack: Stack) -> None:
        await lived(stack, "one", automatedCleaningMode="disabled")
        for name in ("two", "three"):
            await lived(stack, name, automatedCleaningMode="disabled")
            assert offers(stack, "tenant-b") == HOSTS - 1, "always the same one"
        await lived(stack, "four", automatedCleaningMode="metadata")
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)

    life(main)


def test_an_uncleaned_host_that_does_not_suit_is_in_the_way() -> None:
    async def main(stack: Stack) -> None:
        await lived(stack, "one", automatedCleaningMode="disabled")
        [dirty] = [host["spec"]["source"]["name"] for host in stack.management.all("Host") if host["status"].get("dirtyFor")]
        other = next(name for name in ("h0", "h1") if name != dirty)
        await refused(stack, hostRef={"name": other})
        with pytest.raises(ApiException, match="exceeded quota"):
            await stack.management.patch("BareMetalHost", other, {"spec": {"consumerRef": CONSUMER}}, "tenant-a", who="tenant-a")
        await stack.hardware.patch("BareMetalHost", dirty, {"metadata": {"labels": {"size": "s"}}}, objects.HARDWARE)
        await stack.until(lambda: (stack.host_of(dirty)["status"]["report"].get("labels") or {}).get("size") == "s")
        await stack.management.create(objects.workload("two", hostSelector={"matchLabels": {"size": "m"}}), who="tenant-a")
        await stack.until(lambda: condition(stack, "two", "Bound")["reason"] == "QuotaExceeded")
        assert "exceeded quota" in condition(stack, "two", "Bound")["message"]
        assert offers(stack, "tenant-b") == HOSTS - 1, "it keeps no host from others meanwhile"
        stack.management.quotas.hard["tenant-a"] = 2
        await stack.until(lambda: phase(stack, "two") == "Running")

    life(main)


def test_a_host_that_is_too_large_for_the_quota_waits_for_room() -> None:
    async def main(stack: Stack) -> None:
        [cpus, *_] = [host["status"]["report"]["status"]["hardware"]["cpu"]["count"] for host in stack.management.all("Host")]
        del stack.management.quotas.hard["tenant-a"]
        hard = stack.management.quotas.amounts["tenant-a"] = {"workload.metal3.io/cpu": str(cpus + 1), CLASS: "2"}
        for name in ("one", "two"):
            await stack.management.create(objects.workload(name, requirements={"cpuCount": 1}), who="tenant-a")
        await stack.until(lambda: {phase(stack, name) for name in ("one", "two")} == {"Running", "Pending"})
        [waiting] = [name for name in ("one", "two") if phase(stack, name) == "Pending"]
        await stack.until(lambda: condition(stack, waiting, "Bound")["reason"] == "QuotaExceeded")
        assert f"limited: workload.metal3.io/cpu={cpus + 1}" in condition(stack, waiting, "Bound")["message"]
        assert "exceeded quota" in await refused(stack), "the class has no room for a third one"
        hard["workload.metal3.io/cpu"] = str(2 * cpus)
        await stack.until(lambda: phase(stack, waiting) == "Running")

    life(main)


@pytest.mark.parametrize("ending", ["view", "workload", "consumer"])
def test_a_host_that_is_marked_counts_until_its_owner_has_repaired_it(ending: str) -> None:
    async def main(stack: Stack) -> None:
        await stack.management.patch("BareMetalHost", "h0", {"spec": {"consumerRef": CONSUMER}, **MARK}, "tenant-a", who="tenant-a")
        if ending == "consumer":
            await stack.management.patch("BareMetalHost", "h0", {"spec": {"consumerRef": None}}, "tenant-a", who="tenant-a")
        else:
            await stack.management.delete("BareMetalHost" if ending == "view" else "Workload", "h0", "tenant-a", who="tenant-a")
        await gone(stack, "h0")
        assert stack.host_of("h0")["spec"]["chargedTo"]["unhealthy"]
        await refused(stack)
        with pytest.raises(ApiException, match="exceeded quota"):
            await stack.management.patch("BareMetalHost", "h1", {"spec": {"consumerRef": CONSUMER}}, "tenant-a", who="tenant-a")
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS - 1)
        mended = {"metadata": {"annotations": {"capm3.metal3.io/unhealthy": None}}}
        await stack.hardware.patch("BareMetalHost", "h0", mended, objects.HARDWARE)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
        await lived(stack, "two")

    life(main)


def test_what_the_owner_takes_out_of_service_is_not_the_tenants() -> None:
    async def main(stack: Stack) -> None:
        await stack.management.create(objects.workload("one", hostRef={"name": "h0"}), who="tenant-a")
        await stack.until(lambda: phase(stack, "one") == "Running")
        await stack.hardware.patch("BareMetalHost", "h0", MARK, objects.HARDWARE)
        await stack.management.delete("Workload", "one", "tenant-a", who="tenant-a")
        await gone(stack, "one")
        await stack.settled()
        assert stack.host_of("h0")["status"]["reason"] == "Unhealthy"
        assert "chargedTo" not in stack.host_of("h0")["spec"]
        await lived(stack, "two")

    life(main)


def test_a_host_that_was_never_had_is_not_counted() -> None:
    async def main(stack: Stack) -> None:
        rival = {"apiVersion": "v1", "kind": "Pod", "namespace": "x", "name": "rival"}
        await stack.hardware.patch("BareMetalHost", "h0", {"spec": {"consumerRef": rival}}, objects.HARDWARE)
        await stack.management.patch("BareMetalHost", "h1", {"spec": {"consumerRef": CONSUMER}}, "tenant-a", who="tenant-a")
        await stack.hardware.patch("BareMetalHost", "h1", {"spec": {"consumerRef": rival}}, objects.HARDWARE)
        await stack.management.delete("BareMetalHost", "h1", "tenant-a", who="tenant-a")
        await gone(stack, "h1")
        await stack.settled()
        await lived(stack, "two")

    life(main)


def test_the_owner_can_end_a_charge_and_no_user_can_create_one() -> None:
    async def main(stack: Stack) -> None:
        await lived(stack, "one", reclaimPolicy="Retain")
        [kept] = [host for host in stack.management.all("Host") if "chargedTo" in host["spec"]]
        name = kept["metadata"]["name"]
        changed = {**kept["spec"]["chargedTo"], "namespace": "tenant-b"}
        await stack.management.patch("Host", name, {"spec": {"chargedTo": changed}})
        assert stack.management.get("Host", name)["spec"]["chargedTo"] == kept["spec"]["chargedTo"]
        await stack.management.patch("Host", name, {"spec": {"chargedTo": None}})
        await lived(stack, "two")

    life(main)


async def marked_away(stack: Stack, name: str) -> None:
    """Claim a host through the view, mark it as unhealthy, and release it."""
    await stack.management.patch("BareMetalHost", name, {"spec": {"consumerRef": CONSUMER}, **MARK}, "tenant-a", who="tenant-a")
    await stack.management.delete("BareMetalHost", name, "tenant-a", who="tenant-a")
    await gone(stack, name)


def spoiled(stack: Stack) -> list[str]:
    """Return the real hosts that bear a mark."""
    hosts = stack.hardware.all("BareMetalHost")
    return [bmh["metadata"]["name"] for bmh in hosts if "capm3.metal3.io/unhealthy" in (bmh["metadata"].get("annotations") or {})]


def bears(stack: Stack, name: str) -> bool:
    """Return whether this real host, and no other, bears a mark."""
    return spoiled(stack) == [name]


@pytest.mark.parametrize(
    ("rules", "most"),
    [({}, 1), ({"tenantMayMarkUnhealthy": False}, 0), ({"maxUnhealthyPerNamespace": 2}, 2)],
)
def test_a_namespace_marks_no_more_hosts_away_than_its_class_lets_it(rules: dict[str, Any], most: int) -> None:
    async def main(stack: Stack) -> None:
        for name in ("h0", "h1", "h2"):
            await marked_away(stack, name)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS - most)
        assert len(spoiled(stack)) == most
        dropped = {event["involvedObject"]["kind"] for event in stack.management.all("Event") if event["reason"] == "UnhealthyMarkDropped"}
        assert dropped == {"Workload", "Host"}
        for name in spoiled(stack):
            mended = {"metadata": {"annotations": {"capm3.metal3.io/unhealthy": None}}}
            await stack.hardware.patch("BareMetalHost", name, mended, objects.HARDWARE)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
        await marked_away(stack, "h2")
        await stack.until(lambda: len(spoiled(stack)) == min(most, 1))

    life(main, hard=HOSTS, reclaim=rules)


def test_a_mark_that_is_taken_away_again_makes_room_for_no_second_one() -> None:
    async def main(stack: Stack) -> None:
        unmark = {"metadata": {"annotations": {"capm3.metal3.io/unhealthy": None}}}
        for name in ("h0", "h1"):
            await stack.management.patch("BareMetalHost", name, {"spec": {"consumerRef": CONSUMER}, **MARK}, "tenant-a", who="tenant-a")
            await stack.until(partial(bears, stack, name))
            await stack.management.patch("BareMetalHost", name, unmark, "tenant-a", who="tenant-a")
            await stack.management.delete("BareMetalHost", name, "tenant-a", who="tenant-a")
            await gone(stack, name)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
        assert spoiled(stack) == []

    life(main, reclaim={})


async def vanish(stack: Stack, name: str) -> None:
    """Remove the Workload from the store without releasing anything."""
    entry = stack.management.registries["Workload"].get("tenant-a", name)
    await stack.management.cache.commit([Delete(entry.key, entry.revision)])


def test_an_abandoned_claim_counts_and_ends_as_its_class_says() -> None:
    async def main(stack: Stack) -> None:
        await stack.management.create(objects.workload("web", hostRef={"name": "h0"}), who="tenant-a")
        await stack.until(lambda: phase(stack, "web") == "Running")
        await vanish(stack, "web")
        await stack.until(lambda: stack.host_of("h0")["status"]["reason"] == "Abandoned")
        assert "reclaim.abandoned" in stack.host_of("h0")["status"]["message"]
        await refused(stack)
        assert stack.real("h0")["spec"]["image"]
        now = {"spec": {"reclaim": {"abandoned": "Reclaim", "abandonedGracePeriodSeconds": 0}}}
        await stack.management.patch("WorkloadClass", "metal", now)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)
        assert not stack.host_of("h0")["status"].get("conditions")
        events = [event["reason"] for event in stack.management.all("Event") if event["involvedObject"]["kind"] == "Host"]
        assert {"Abandoned", "Reclaimed"} <= set(events)
        await lived(stack, "two")

    life(main, reclaim={"abandoned": "Keep"})


AT_ONCE: dict[str, Any] = {"reclaim": {"abandoned": "Reclaim", "abandonedGracePeriodSeconds": 0}}


def test_a_store_that_was_lost_wipes_nothing() -> None:
    async def main(stack: Stack) -> None:
        await stack.management.create(objects.workload("web", hostRef={"name": "h0"}), who="tenant-a")
        await stack.until(lambda: phase(stack, "web") == "Running")
        await stack.settled()
        lost = [entry for kind in ("Workload", "BareMetalHost", "Host") for entry in stack.management.registries[kind].collection.range()]
        await stack.management.cache.commit([Delete(entry.key, entry.revision) for entry in lost])
        await stack.until(lambda: stack.host_of("h0")["status"]["reason"] == "Orphaned")
        await stack.settled()
        assert stack.real("h0")["spec"]["image"]
        assert stack.real("h0")["spec"]["online"]
        assert stack.host_of("h0")["status"]["reason"] == "Orphaned"
        await stack.hardware.patch("BareMetalHost", "h0", {"spec": {"image": None, "consumerRef": None}}, objects.HARDWARE)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS)

    life(main, **AT_ONCE)


def test_a_store_that_has_lost_its_workloads_wipes_nothing() -> None:
    names = ("one", "two", "three")

    async def main(stack: Stack) -> None:
        await stack.management.create(*(objects.workload(name) for name in names), who="tenant-a")
        await stack.until(lambda: all(phase(stack, name) == "Running" for name in names))
        entries = [stack.management.registries["Workload"].get("tenant-a", name) for name in names]
        await stack.management.cache.commit([Delete(entry.key, entry.revision) for entry in entries])
        await stack.until(lambda: all("restore the store" in host["status"].get("message", "") for host in stack.management.all("Host")))
        await stack.settled()
        assert all(bmh["spec"].get("image") for bmh in stack.hardware.all("BareMetalHost"))
        # The owner frees one host that is not in use. The others are then abandoned claims again.
        freed = stack.host_of("h0")["metadata"]["name"]
        await stack.management.patch("Host", freed, {"spec": {"claimRef": None}})
        await stack.hardware.patch("BareMetalHost", "h0", {"spec": {"image": None, "consumerRef": None}}, objects.HARDWARE)
        await stack.until(lambda: offers(stack, "tenant-b") == HOSTS, 1200)

    life(main, hard=HOSTS, **AT_ONCE)
