"""Delete and recreate namespaces with hosts that are not yet cleaned, and check what the next
namespace of that name gets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from storage.base import Delete
from tests.crashes import objects
from tests.crashes.checks import TENANTS, assert_sound, phase
from tests.crashes.stack import Stack, running
from tests.crashes.test_histories import HISTORIES, Troubles, at_rest
from tests.crashes.virtual import run

if TYPE_CHECKING:
    from tests.crashes.stack import Snapshot

MARK = "workload.metal3.io/dirty-for"
TENANT, NAME = st.sampled_from(TENANTS), st.sampled_from(["w0", "w1"])


def seen_in(stack: Stack, where: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in stack.management.all("BareMetalHost") if item["metadata"]["namespace"] == where)


async def recreate(stack: Stack, name: str) -> None:
    """Delete the namespace, and create another one of the same name."""
    await stack.management.delete("Namespace", name)
    await stack.until(lambda: stack.management.find("Namespace", name) is None)
    await stack.management.create(objects.namespace(name))


def test_the_next_namespace_of_the_name_gets_no_uncleaned_host_until_its_owner_has_cleaned_it() -> None:
    async def main() -> None:
        async with running() as stack:
            await stack.seed(1, cleaning={"mode": "metadata", "tenantMayDisable": True})
            stack.control()
            await stack.until(lambda: seen_in(stack, "tenant-b") == ["h0"])
            made = objects.workload("secrets", automatedCleaningMode="disabled")
            await stack.management.create(made, who="tenant-a")
            await stack.until(lambda: phase(stack, "secrets") == "Running")
            await stack.management.delete("Workload", "secrets", "tenant-a", who="tenant-a")
            await stack.until(lambda: stack.management.find("Workload", "secrets", "tenant-a") is None)
            await stack.until(lambda: seen_in(stack, "tenant-a") == ["h0"] and seen_in(stack, "tenant-b") == [])
            uid = stack.management.get("Namespace", "tenant-a")["metadata"]["uid"]
            assert stack.real("h0")["metadata"]["annotations"][MARK].endswith(f"/tenant-a/{uid}")
            await recreate(stack, "tenant-a")
            for where in TENANTS:
                await stack.management.create(objects.workload("stranger", where, hostRef={"name": "h0"}), who=where)
            await stack.until(lambda: stack.host_of("h0")["status"]["reason"] == "Dirty")
            await stack.settled()
            assert (seen_in(stack, "tenant-a"), seen_in(stack, "tenant-b")) == ([], [])
            assert [phase(stack, "stranger", where) for where in TENANTS] == ["Pending", "Pending"]
            assert "deleted" in stack.host_of("h0")["status"]["message"]
            assert_sound(stack)
            await clean(stack, "h0")
            await stack.until(lambda: "Running" in [phase(stack, "stranger", where) for where in TENANTS])

    run(main)


async def clean(stack: Stack, name: str) -> None:
    """Clean the host as docs/operating.md tells the owner to."""

    def state() -> Any:
        return stack.real(name)["status"]["provisioning"]["state"]

    image = {"url": "https://images.example.com/wipe.iso", "format": "live-iso"}
    spec = {"automatedCleaningMode": "metadata", "online": True, "image": image}
    await stack.hardware.patch("BareMetalHost", name, {"spec": spec}, objects.HARDWARE)
    await stack.until(lambda: state() == "provisioned")
    await stack.hardware.patch("BareMetalHost", name, {"spec": {"image": None, "online": False}}, objects.HARDWARE)
    await stack.until(lambda: state() == "available")
    await stack.hardware.patch("BareMetalHost", name, {"metadata": {"annotations": {MARK: None}}}, objects.HARDWARE)


class Lives(Troubles):
    """Let namespaces end and begin again, while tenants leave data on hosts, or not."""

    @rule(where=TENANT, name=NAME, cleaning=st.sampled_from([None, "disabled"]))
    def create_workload(self, where: str, name: str, cleaning: str | None) -> None:
        self.attempt(lambda: self.stack.management.create(objects.workload(name, where, automatedCleaningMode=cleaning), who=where))

    @rule(where=TENANT, name=NAME)
    def delete_workload(self, where: str, name: str) -> None:
        self.attempt(lambda: self.stack.management.delete("Workload", name, where, who=where))

    @rule(where=TENANT, name=NAME)
    def leave_data(self, where: str, name: str) -> None:
        made = objects.workload(name, where, automatedCleaningMode="disabled")
        self.attempt(lambda: self.stack.management.create(made, who=where))
        self.run(asyncio.sleep(30.0))
        self.attempt(lambda: self.stack.management.delete("Workload", name, where, who=where))

    @rule(where=TENANT, name=NAME)
    def pass_the_name_on(self, where: str, name: str) -> None:
        """Delete a namespace whose data is left on hosts, and let the next namespace of its name
        create Workloads at once."""
        self.leave_data(where, name)
        self.end_namespace(where)
        self.run(asyncio.sleep(60.0))
        self.begin_namespace(where)
        self.create_workload(where, name, None)

    @rule(where=TENANT)
    def end_namespace(self, where: str) -> None:
        self.attempt(lambda: self.stack.management.delete("Namespace", where))

    @rule(where=TENANT)
    def begin_namespace(self, where: str) -> None:
        self.attempt(lambda: self.stack.management.create(objects.namespace(where)))


@pytest.mark.timeout(1800)
def test_lives_of_namespaces() -> None:
    snapshot: Snapshot = at_rest()
    wanted = settings(
        max_examples=HISTORIES or 12,
        stateful_step_count=16,
        derandomize=not HISTORIES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink) if HISTORIES else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    machine = cast("type[RuleBasedStateMachine]", lambda: Lives(snapshot))
    run_state_machine_as_test(machine, settings=wanted)


def test_what_a_namespace_left_that_was_removed_by_force_is_released_by_its_owner() -> None:
    async def main() -> None:
        async with running() as stack:
            await stack.seed(1)
            stack.control()
            await stack.until(lambda: seen_in(stack, "tenant-b") == ["h0"])
            await stack.management.create(objects.workload("web"), who="tenant-a")
            await stack.until(lambda: phase(stack, "web") == "Running")
            entry = stack.management.registries["Namespace"].get("", "tenant-a")
            await stack.management.cache.commit([Delete(entry.key, entry.revision)])
            await stack.settled()
            assert stack.real("h0")["spec"]["image"], "nothing is wiped because an object has disappeared"
            await stack.management.delete("Workload", "web", "tenant-a")
            await stack.until(lambda: seen_in(stack, "tenant-b") == ["h0"])
            assert_sound(stack)

    run(main)
