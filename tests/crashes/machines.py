"""Simulate sources of machines that are created when they are claimed, in memory and in virtual
time.

This module contains KubeVirt with its controllers; clouds.py contains clouds. A request to
them counts as a call of the requesting process, at which a test may kill that process."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from apiserver.client.client import Client
from hack.kubevirt.controller import Simulation
from tests.crashes import objects
from tests.unit.controllers.fakeapi import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.crashes.stack import Stack

Object = dict[str, Any]

OURS = "workload.metal3.io/"
FLAVOR = {"name": "small", "cpu": 2, "memory": "4Gi", "disk": "40Gi", "capacity": 2}


@dataclass(frozen=True)
class Found:
    """A machine that exists: its Workload by its own record, and the image that it was created to
    run."""

    workload_uid: str
    slot_uid: str
    image: str
    running: bool


class Source(ABC):
    """One source, and the class for it. `marks`: texts in calls to it for a certain machine."""

    provisioner: str
    parameters: Object
    credentials: Mapping[str, str]
    marks: tuple[str, ...]

    @asynccontextmanager
    @abstractmethod
    def serving(self, stack: Stack) -> AsyncIterator[None]:
        """Serve for the duration of the block."""

    @abstractmethod
    def machines(self) -> list[Found]:
        """Return all machines, including those that are being deleted."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Return all our other objects."""

    @abstractmethod
    def delete_all(self) -> None:
        """Delete all machines, as the owner."""

    def offer(self) -> list[Object]:
        """Return the class `metal`, and its secret. Its flavor has a capacity of two."""
        made = objects.workload_class(provisioner=self.provisioner, parameters=self.parameters)
        return [objects.secret("hardware", objects.SYSTEM, **self.credentials), made]


class KubeVirt(Source):
    """A cluster with KubeVirt's kinds."""

    provisioner = "metal3.io/kubevirt"
    parameters = {"namespace": objects.HARDWARE, "flavors": [FLAVOR]}  # noqa: RUF012 - read only, as in every harness
    marks = ("kubevirt.io/", f"/api/v1/namespaces/{objects.HARDWARE}/")

    def __init__(self) -> None:
        self.api = FakeApi()

    @asynccontextmanager
    async def serving(self, stack: Stack) -> AsyncIterator[None]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self.api._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        assert runner.server is not None
        self.api.url = f"http://127.0.0.1:{stack.network.listen(runner.server)}"
        self.credentials = {"kubeconfig": orjson.dumps(self.api.kubeconfig).decode()}
        async with Client(self.api.kubeconfig) as client:
            task = asyncio.ensure_future(Simulation(client, namespace=objects.HARDWARE).run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                self.api.cut_watches()
                await runner.cleanup()

    def machines(self) -> list[Found]:
        return [self._found(vm) for vm in self.api.all("apis/kubevirt.io/v1/virtualmachines")]

    def _found(self, vm: Object) -> Found:
        metadata = vm["metadata"]
        labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
        image = orjson.loads(notes.get(f"{OURS}image") or "{}").get("url", "")
        vmi = self.api.find("apis/kubevirt.io/v1/virtualmachineinstances", metadata["name"], metadata["namespace"])
        running = vmi is not None and (vmi.get("status") or {}).get("phase") == "Running"
        return Found(labels.get(f"{OURS}workload-uid", ""), labels.get(f"{OURS}slot-uid", ""), image, running)

    def leftovers(self) -> list[str]:
        kinds = ("apis/kubevirt.io/v1/virtualmachineinstances", "apis/cdi.kubevirt.io/v1beta1/datavolumes", "api/v1/secrets")
        return [item["metadata"]["name"] for kind in kinds for item in self.api.all(kind)]

    def delete_all(self) -> None:
        for vm in self.api.all("apis/kubevirt.io/v1/virtualmachines"):
            gone = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
            self.api.edit("apis/kubevirt.io/v1/virtualmachines", vm["metadata"]["name"], gone, objects.HARDWARE)
