"""Provide a KubeVirt cluster in memory for the tests of all providers. A simulation of its
controllers drives it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import orjson

from apiserver.client.client import Client
from controllers.providers.machines.kubevirt import KubeVirtProvider
from controllers.providers.machines.kubevirt.parameters import MachineFlavor
from controllers.providers.testing import SourceHarness
from hack.kubevirt.controller import Simulation
from tests.unit.controllers.fakeapi import Failure, FakeApi
from tests.unit.controllers.providers.machines.offering import offer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controllers.providers.base import ProviderContext

Object = dict[str, Any]

VM = "apis/kubevirt.io/v1/virtualmachines"
VMI = "apis/kubevirt.io/v1/virtualmachineinstances"
DV = "apis/cdi.kubevirt.io/v1beta1/datavolumes"
PVC = "api/v1/persistentvolumeclaims"
SECRETS = "api/v1/secrets"
NAMESPACE = "vms"


def flavor(name: str = "small", **fields: Any) -> Object:
    return {"name": name, "cpu": 2, "memory": "4Gi", "disk": "40Gi", "capacity": 1, **fields}


class KubeVirt(SourceHarness):
    """The cluster. Offered machines are the class's parameters; `made` is the provider that a test
    runs."""

    def __init__(self, api: FakeApi, simulation: Simulation) -> None:
        harness = self

        class Remembered(KubeVirtProvider):
            """Remembers the last provider: flavors change with the class, which creates a new
            provider. The tests of all providers use one."""

            @classmethod
            async def create(cls, context: ProviderContext) -> Self:
                harness.made = made = await super().create(context)
                return made

        self.api, self.simulation = api, simulation
        self.made: KubeVirtProvider | None = None
        self.provider = Remembered
        self.spec: Object = {"provisioner": "metal3.io/kubevirt", "parameters": {"namespace": NAMESPACE, "flavors": [flavor()]}}
        self.credentials = {"kubeconfig": orjson.dumps(api.kubeconfig)}

    def set(self, **parameters: Any) -> None:
        """Set parameters of the class, before the provider runs."""
        self.spec = {**self.spec, "parameters": {**self.spec["parameters"], **parameters}}

    def offer(self, *flavors: Object) -> None:
        """Change what the running provider offers."""
        assert self.made is not None
        offer(self.made.fleet, [MachineFlavor.decode(item) for item in flavors])

    def add_host(self, name: str) -> None:
        self.offer(flavor(), flavor(name))

    def remove_host(self, name: str) -> None:
        if self.find(name) is None:
            self.offer(flavor())
        else:
            self.request_deletion(name)

    def request_deletion(self, name: str) -> None:
        """Delete a VirtualMachine as the owner does with kubectl."""
        self.api.edit(VM, self.vm(name)["metadata"]["name"], {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, NAMESPACE)

    def take_host(self, name: str) -> None:
        assert self.made is not None
        [host] = [host for host in self.made.hosts() if host.source.name == name]
        labels = {"workload.metal3.io/slot-uid": host.source.uid, "workload.metal3.io/workload-uid": "stranger"}
        metadata = {"name": f"{name}-{host.source.uid[:8]}", "namespace": NAMESPACE, "labels": labels}
        self.api.put(VM, {"metadata": metadata, "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}})

    def find(self, name: str) -> Object | None:
        """Return the VirtualMachine behind a host, or None."""
        return next((vm for vm in self.api.all(VM) if vm["metadata"]["name"].startswith(f"{name}-")), None)

    def vm(self, name: str = "small-0") -> Object:
        """Return the VirtualMachine behind a host, which must exist."""
        found = self.find(name)
        assert found is not None
        return found

    def edit(self, patch: Object, name: str = "small-0") -> None:
        """Edit the VirtualMachine as another client does."""
        self.api.edit(VM, self.vm(name)["metadata"]["name"], patch, NAMESPACE)

    def vmi(self, name: str = "small-0") -> Object | None:
        """Return the instance of the VirtualMachine."""
        vm = self.find(name)
        return self.api.find(VMI, vm["metadata"]["name"], NAMESPACE) if vm is not None else None

    def runs(self, name: str) -> str | None:
        vm, vmi = self.find(name), self.vmi(name)
        image = (vm or {}).get("metadata", {}).get("annotations", {}).get("workload.metal3.io/image")
        running = vmi is not None and (vmi.get("status") or {}).get("phase") == "Running"
        if image is None:
            return "what was there" if running or self.api.all(DV) else None
        return str(orjson.loads(image)["url"]) if running else None

    def leftovers(self) -> list[str]:
        return [item["metadata"]["name"] for kind in (VM, VMI, DV, PVC, SECRETS) for item in self.api.all(kind)]

    def go_away(self) -> None:
        self.api.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
        self.api.cut_watches()

    def come_back(self) -> None:
        self.api.fail = lambda verb, path: None


@asynccontextmanager
async def kubevirt(api: FakeApi) -> AsyncIterator[KubeVirt]:
    """Yield the cluster with its controllers running."""
    async with Client(api.kubeconfig) as client:
        simulation = Simulation(client, namespace=NAMESPACE)
        task = asyncio.ensure_future(simulation.run())
        try:
            yield KubeVirt(api, simulation)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
