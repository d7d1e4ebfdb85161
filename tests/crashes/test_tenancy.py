"""Change who may use a class at any time. Offers follow, claimed hosts stay claimed, and a deleted
namespace gives everything back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.crashes import objects
from tests.crashes.checks import assert_sound, condition, phase
from tests.crashes.stack import Stack, running
from tests.crashes.virtual import run

if TYPE_CHECKING:
    from collections.abc import Coroutine

HOSTS = 3


def offers(stack: Stack) -> dict[str, int]:
    """Return how many free hosts each namespace sees."""
    found: dict[str, int] = {}
    for view in stack.management.all("BareMetalHost"):
        if "consumerRef" not in view["spec"]:
            found[view["metadata"]["namespace"]] = found.get(view["metadata"]["namespace"], 0) + 1
    return found


def life(main: Any) -> None:
    """Run the test with hosts that are offered to both tenants."""

    async def body() -> None:
        async with running() as stack:
            await stack.seed(HOSTS)
            stack.control()
            await stack.until(lambda: offers(stack) == {"tenant-a": HOSTS, "tenant-b": HOSTS})
            coroutine: Coroutine[Any, Any, None] = main(stack)
            await coroutine
            await stack.settled()
            assert_sound(stack)

    run(body)


async def allow(stack: Stack, **rules: Any) -> None:
    await stack.management.patch("WorkloadClass", "metal", {"spec": {"allowedNamespaces": None}})
    if rules:
        await stack.management.patch("WorkloadClass", "metal", {"spec": {"allowedNamespaces": rules}})


def test_offers_follow_names_patterns_and_labels() -> None:
    async def main(stack: Stack) -> None:
        await allow(stack, names=["tenant-b"])
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS})
        await allow(stack)
        await stack.until(lambda: offers(stack) == {})
        await allow(stack, nameMatches="tenant-[ax]")
        await stack.until(lambda: offers(stack) == {"tenant-a": HOSTS})
        await allow(stack, selector={"matchLabels": {"metal": "yes"}})
        await stack.until(lambda: offers(stack) == {})
        await stack.management.patch("Namespace", "tenant-b", {"metadata": {"labels": {"metal": "yes"}}})
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS})
        await stack.management.create(objects.namespace("tenant-c", metal="yes"))
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS, "tenant-c": HOSTS})
        await stack.management.patch("Namespace", "tenant-b", {"metadata": {"labels": {"metal": None}}})
        await stack.until(lambda: offers(stack) == {"tenant-c": HOSTS})
        await stack.management.patch("WorkloadClass", "metal", {"spec": {"offer": {"maxPerNamespace": 1}}})
        await stack.until(lambda: offers(stack) == {"tenant-c": 1})

    life(main)


def test_what_is_claimed_stays_claimed_and_is_released_as_ever() -> None:
    async def main(stack: Stack) -> None:
        await stack.management.create(objects.workload("web"), who="tenant-a")
        await stack.until(lambda: phase(stack, "web") == "Running")
        await allow(stack, names=["tenant-b"])
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS - 1})
        await stack.management.patch("Workload", "web", {"spec": {"online": False}}, "tenant-a", who="tenant-a")
        await stack.until(lambda: phase(stack, "web") == "Stopped")
        await stack.management.create(objects.workload("late"), who="tenant-a")
        await stack.until(lambda: condition(stack, "late", "Bound")["reason"] == "NamespaceNotAllowed")
        assert "ask its owner" in condition(stack, "late", "Bound")["message"]
        await stack.management.delete("Workload", "web", "tenant-a", who="tenant-a")
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS})
        await allow(stack, names=["tenant-a", "tenant-b"])
        await stack.until(lambda: phase(stack, "late") == "Running")

    life(main)


def test_a_namespace_that_goes_gives_back_all_it_had_and_is_offered_nothing_meanwhile() -> None:
    async def main(stack: Stack) -> None:
        for name in ("one", "two"):
            await stack.management.create(objects.workload(name), who="tenant-a")
        await stack.until(lambda: [phase(stack, name) for name in ("one", "two")] == ["Running", "Running"])
        await stack.management.delete("Namespace", "tenant-a")
        await stack.until(lambda: stack.management.find("Namespace", "tenant-a") is None)
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS})
        await stack.management.create(objects.namespace("tenant-a"))
        await stack.until(lambda: offers(stack) == {"tenant-a": HOSTS, "tenant-b": HOSTS})

    life(main)


def test_a_tenant_that_strips_the_release_finalizer_keeps_no_host() -> None:
    async def main(stack: Stack) -> None:
        for name in ("before", "meanwhile"):
            await stack.management.create(objects.workload(name), who="tenant-a")
        await stack.until(lambda: [phase(stack, name) for name in ("before", "meanwhile")] == ["Running", "Running"])
        strip = {"metadata": {"finalizers": None}}
        await stack.management.patch("Workload", "before", strip, "tenant-a", who="tenant-a")
        await stack.management.delete("Workload", "before", "tenant-a", who="tenant-a")
        await stack.management.delete("Workload", "meanwhile", "tenant-a", who="tenant-a")
        await stack.management.patch("Workload", "meanwhile", strip, "tenant-a", who="tenant-a")
        await stack.until(lambda: stack.management.all("Workload") == [])
        await stack.until(lambda: offers(stack) == {"tenant-a": HOSTS, "tenant-b": HOSTS})

    life(main)


def test_a_namespace_whose_tenant_stripped_the_release_finalizer_can_be_deleted() -> None:
    async def main(stack: Stack) -> None:
        await stack.management.create(objects.workload("web"), who="tenant-a")
        await stack.until(lambda: phase(stack, "web") == "Running")
        await stack.management.patch("Workload", "web", {"metadata": {"finalizers": None}}, "tenant-a", who="tenant-a")
        await stack.management.delete("Namespace", "tenant-a")
        await stack.until(lambda: stack.management.find("Namespace", "tenant-a") is None)
        await stack.until(lambda: offers(stack) == {"tenant-b": HOSTS})

    life(main)
