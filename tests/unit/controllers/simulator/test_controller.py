"""Run the simulated operator over HTTP, against the hardware endpoint of dev mode."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.client import Client
from apiserver.client.objects import Resource
from apiserver.dev import policy, seed
from apiserver.dev.endpoints import Endpoint, hardware_endpoint
from apiserver.dev.kubeconfigs import Context, kubeconfig
from apiserver.server.pki import Authority
from controllers.runtime.controller import TerminalError
from controllers.simulator import faults
from controllers.simulator.controller import HOSTS, SECRETS, Simulator
from controllers.simulator.hardwaredata import HARDWARE_DATA
from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.lifecycle import IMAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NAMESPACE = "metal3"
EVENTS = Resource("", "v1", "events", "Event")


class Hardware:
    """Reach the endpoint as the owner of the hardware and as the operator."""

    def __init__(self, endpoint: Endpoint, owner: Client, operator: Client) -> None:
        self.endpoint, self.owner, self.operator = endpoint, owner, operator

    @asynccontextmanager
    async def simulated(self, speed: float = 0.01) -> AsyncIterator[Simulator]:
        """Run a simulated operator, and yield it."""
        simulator = Simulator(self.operator, Settings().scaled(speed), namespace=NAMESPACE)
        task = asyncio.create_task(simulator.run())
        try:
            yield simulator
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def change(self, **spec: Any) -> None:
        """Write into host-0 as a consumer does."""
        await self.owner.patch(HOSTS, "host-0", {"spec": spec}, NAMESPACE)

    async def annotate(self, **annotations: str | None) -> None:
        await self.owner.patch(HOSTS, "host-0", {"metadata": {"annotations": annotations}}, NAMESPACE)

    async def until(self, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return host-0 once the condition holds."""
        found = await self.owner.get(HOSTS, "host-0", NAMESPACE)
        version = found["metadata"]["resourceVersion"]
        async with asyncio.timeout(60):
            if check(found):
                return found
            async for event in self.owner.watch(HOSTS, NAMESPACE, resource_version=version, field_selector="metadata.name=host-0"):
                if event["type"] != "BOOKMARK" and check(event["object"]):
                    return dict(event["object"])
        raise AssertionError("the watch ended")

    async def until_state(self, state: str) -> dict[str, Any]:
        return await self.until(lambda host: _state(host) == state)


@pytest.fixture
async def hardware(tmp_path: Path) -> AsyncIterator[Hardware]:
    """Create one host that is not inspected yet."""
    authority = Authority.create("test")
    endpoint = hardware_endpoint(tmp_path / "db", authority, 0)
    async with endpoint.app as app:
        await seed.create_missing(seed.hardware(1), endpoint.by_kind, endpoint.core.configmaps)

        def client(user: str, group: str) -> Client:
            identity = authority.client(user, [group])
            return Client(kubeconfig(user, identity, authority.pair.certificate, [Context("hardware", app.url)]))

        async with client("owner", "system:masters") as owner, client("operator", policy.OPERATOR) as operator:
            yield Hardware(endpoint, owner, operator)


async def test_a_host_is_taken_through_its_life_with_the_operators_rights_only(hardware: Hardware) -> None:
    async with hardware.simulated():
        host = await hardware.until_state("available")
        assert host["metadata"]["finalizers"] == ["baremetalhost.metal3.io"]
        assert host["status"]["goodCredentials"]["credentials"]["name"] == "host-0-bmc"
        assert host["status"]["poweredOn"] is False
        await hardware.change(image=IMAGE, online=True)
        host = await hardware.until(lambda host: _state(host) == "provisioned" and host["status"]["poweredOn"])
        assert host["status"]["provisioning"]["image"] == IMAGE
        await hardware.change(image=None, online=False)
        await hardware.until_state("available")
        await hardware.owner.delete(HOSTS, "host-0", NAMESPACE)
        await _gone(hardware)


async def test_stopped_at_every_write_it_continues(hardware: Hardware) -> None:
    """Stop each operator after at least one write; the next one takes over without any memory."""
    for _ in range(60):
        before = await hardware.owner.get(HOSTS, "host-0", NAMESPACE)
        if _state(before) == "available":
            break
        async with hardware.simulated(speed=0.05):
            # Mypy does not infer the defaults of lambdas.
            await hardware.until(lambda host, before=before: _version(host) != _version(before))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
    assert _state(before) == "available"


async def test_a_secret_that_comes_later_wakes_its_host(hardware: Hardware) -> None:
    secret = await hardware.owner.get(SECRETS, "host-0-bmc", NAMESPACE)
    await hardware.owner.delete(SECRETS, "host-0-bmc", NAMESPACE)
    async with hardware.simulated():
        host = await hardware.until(lambda host: bool((host.get("status") or {}).get("errorMessage")))
        assert host["status"]["errorType"] == "registration error"
        assert host["status"]["operationalStatus"] == "error"
        await hardware.owner.create(SECRETS, {**secret, "metadata": {"name": "host-0-bmc"}}, NAMESPACE)
        host = await hardware.until_state("available")
        assert host["status"]["errorMessage"] == ""
        await hardware.change(image=IMAGE, online=True, userData={"name": "first-boot"})
        await hardware.until_state("provisioning")
        await hardware.owner.create(SECRETS, {"metadata": {"name": "first-boot"}, **_KIND, "stringData": {"userData": "x"}}, NAMESPACE)
        await hardware.until_state("provisioned")


async def test_a_reboot_is_done_once(hardware: Hardware) -> None:
    async with hardware.simulated():
        await hardware.until_state("available")
        await hardware.change(image=IMAGE, online=True)
        await hardware.until(lambda host: _state(host) == "provisioned" and host["status"]["poweredOn"])
        await hardware.annotate(**{"reboot.metal3.io": ""})
        await hardware.until(lambda host: not host["status"]["poweredOn"])
        host = await hardware.until(lambda host: bool(host["status"]["poweredOn"]))
        assert "reboot.metal3.io" not in host["metadata"]["annotations"]


async def test_failures_are_reported_in_events(hardware: Hardware) -> None:
    await hardware.annotate(**{faults.ANNOTATION: "inspection:1"})
    async with hardware.simulated():
        host = await hardware.until_state("available")
        assert faults.ANNOTATION not in host["metadata"]["annotations"]
        async with asyncio.timeout(60):
            while "InspectionError" not in await _reasons(hardware):  # noqa: ASYNC110 - events are written beside
                await asyncio.sleep(0.05)


async def test_objects_that_are_no_host_are_left_alone(hardware: Hardware) -> None:
    """Check that an object which a newer version or a manual edit may have written stops this host
    and no other."""
    strange = {"metadata": {"name": "strange", "namespace": NAMESPACE, "resourceVersion": "1", "uid": "x"}, "spec": {"bmc": 5}}
    simulator = Simulator(hardware.operator, Settings().scaled(0.01), namespace=NAMESPACE)
    hosts = simulator.manager.informers[0]
    hosts.store.put(f"{NAMESPACE}/strange", strange)
    with pytest.raises(TerminalError, match="this is no BareMetalHost"):
        await simulator.reconcile(f"{NAMESPACE}/strange")
    task = asyncio.create_task(simulator.run())
    try:
        await hardware.until_state("available")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_wrong_speed() -> None:
    with pytest.raises(ValueError, match="zero or more"):
        Settings().scaled(-1)
    with pytest.raises(ValueError, match="zero or more"):
        Settings().scaled(float("nan"))


_KIND = {"apiVersion": "v1", "kind": "Secret"}


def _state(host: dict[str, Any]) -> str:
    return str((host.get("status") or {}).get("provisioning", {}).get("state", ""))


def _version(host: dict[str, Any]) -> str:
    return str(host["metadata"]["resourceVersion"])


async def _reasons(hardware: Hardware) -> set[str]:
    events, _ = await hardware.owner.list_all(EVENTS, NAMESPACE)
    return {event["reason"] for event in events}


async def _gone(hardware: Hardware) -> None:
    async with asyncio.timeout(60):
        while True:
            hosts, _ = await hardware.owner.list_all(HOSTS, NAMESPACE)
            if not hosts:
                return
            await asyncio.sleep(0.05)


async def test_what_inspection_finds_is_in_hardware_data_as_long_as_the_host_exists(hardware: Hardware) -> None:
    owner = hardware.owner
    async with hardware.simulated():
        host = await hardware.until_state("available")
        data = await owner.get(HARDWARE_DATA, "host-0", NAMESPACE)
        assert data["spec"]["hardware"] == host["status"]["hardware"]
        assert data["metadata"]["finalizers"] == ["baremetalhost.metal3.io/hardwareData"]
        [reference] = data["metadata"]["ownerReferences"]
        assert (reference["kind"], reference["uid"], reference["controller"]) == ("BareMetalHost", host["metadata"]["uid"], True)
        # Another inspection makes another object.
        await owner.patch(HOSTS, "host-0", {"status": {"hardware": {"hostname": "old"}}}, NAMESPACE, subresource="status")
        await hardware.annotate(**{"inspect.metal3.io": ""})
        await hardware.until(lambda found: found["status"]["hardware"] == host["status"]["hardware"])
        again = await owner.get(HARDWARE_DATA, "host-0", NAMESPACE)
        assert again["metadata"]["uid"] != data["metadata"]["uid"]
        assert again["spec"] == data["spec"]
        version = (await owner.list_all(HOSTS, NAMESPACE))[1]
        await owner.delete(HOSTS, "host-0", NAMESPACE)
        async with asyncio.timeout(60):
            async for event in owner.watch(HOSTS, NAMESPACE, resource_version=version):
                if event["type"] == "DELETED":
                    break
        assert await owner.find(HARDWARE_DATA, "host-0", NAMESPACE) is None
