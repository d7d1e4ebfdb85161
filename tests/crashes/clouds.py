"""Simulate a cloud of each kind in memory and in virtual time, behind the provider's own interface.

EC2 accepts idempotency tokens and lists terminated machines for a while; OpenStack does neither."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import Node

from apiserver.apis.names import WORKLOAD_UID
from controllers.providers.machines.cloud import CloudProvider, ec2errors, openstackerrors
from controllers.providers.machines.cloud.driver import CloudDriver
from controllers.providers.machines.cloud.openstack import instance_of
from controllers.providers.machines.cloud.parameters import Parameters
from controllers.providers.machines.instance import IMAGE, SLOT_UID, Instance
from hack.cloud.nova import FLAVORS, Nova, Refused
from tests.crashes import objects
from tests.crashes.machines import FLAVOR, Found, Source
from tests.crashes.network import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from controllers.providers.base import ProviderContext, ProviderError
    from controllers.providers.machines.refusals import Refusal
    from tests.crashes.stack import Stack

T = TypeVar("T")

SECONDS = 1.5
"""The seconds that a cloud works on a request."""


class Cloud(Source, CloudDriver):
    """A cloud that is its own driver: a request of the provider is a call of the provider's
    process."""

    provisioner = "metal3.io/cloud"
    marks = ("GET slot", "POST cloud")
    manufacturer, scheme, most_user_data = "cloud", "ami://", 16 * 1024

    def __init__(self) -> None:
        flavor = {**FLAVOR, "instanceType": next(iter(FLAVORS))}
        images = [{"url": objects.IMAGE, "id": "one"}, {"url": "http://images.example/other.qcow2", "id": "two"}]
        self.parameters = {"region": objects.HARDWARE, "flavors": [flavor], "images": images, "pollSeconds": 15}
        self.credentials = {}

    @asynccontextmanager
    async def serving(self, stack: Stack) -> AsyncIterator[None]:
        async def connect(context: ProviderContext) -> Cloud:
            assert isinstance(context.parameters, Parameters)
            CloudDriver.__init__(self, context.parameters, CloudProvider.timings)
            return self

        with mock.patch.object(CloudProvider, "connect", connect):
            yield

    def machines(self) -> list[Found]:
        return [self._found(item) for item in self.all() if not item.gone]

    def _found(self, item: Instance) -> Found:
        tags = item.tags
        return Found(tags.get(WORKLOAD_UID, ""), tags.get(SLOT_UID, ""), tags.get(IMAGE, ""), item.state == "running")

    def leftovers(self) -> list[str]:
        return []

    @abstractmethod
    def all(self) -> list[Instance]:
        """Return what the cloud would list now."""

    async def _call(self, what: str, work: Callable[[], T]) -> T:
        async def send() -> T:
            return work()

        process = Process.current.get()
        assert process is not None
        answer: T = await process.call(what, send)
        return answer

    async def instances(self, slot_uid: str = "") -> list[Instance]:
        found = await self._call("GET slot" if slot_uid else "GET all", self.all)
        return [item for item in found if not slot_uid or item.tags.get(SLOT_UID) == slot_uid]

    async def close(self) -> None:
        """Do nothing, because the next process uses the same cloud."""


class EC2(Cloud):
    """A cloud with tokens, which remembers terminated instances."""

    remembers = True

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, tuple[Instance, str, float]] = {}
        self._tokens: dict[str, str] = {}

    def all(self) -> list[Instance]:
        now = asyncio.get_running_loop().time()
        for id, (item, becomes, done) in self._made.items():
            if becomes and done <= now:
                self._made[id] = (replace(item, state=becomes), "", 0.0)
        return [item for item, _, _ in self._made.values()]

    def _change(self, id: str, state: str, becomes: str, reason: str = "") -> None:
        self.all()
        item = self._made[id][0]
        if not item.gone and item.state != "shutting-down":
            until = asyncio.get_running_loop().time() + SECONDS
            self._made[id] = (replace(item, state=state, reason=reason), becomes, until)

    async def launch(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        def work() -> Instance:
            if token not in self._tokens:
                id = self._tokens[token] = f"i-{len(self._made)}"
                now = asyncio.get_running_loop().time()
                self._made[id] = (Instance(id, "pending", dict(tags), f"{now:020}"), "running", now + SECONDS)
            return self._made[self._tokens[token]][0]

        return await self._call("POST cloud create", work)

    async def terminate(self, instance: Instance) -> None:
        reason = "Client.UserInitiatedShutdown"
        await self._call("POST cloud terminate", lambda: self._change(instance.id, "shutting-down", "terminated", reason))

    async def start(self, instance: Instance) -> None:
        await self._call("POST cloud start", lambda: self._change(instance.id, "pending", "running"))

    async def stop(self, instance: Instance) -> None:
        await self._call("POST cloud stop", lambda: self._change(instance.id, "stopping", "stopped"))

    async def restart(self, instance: Instance) -> None:
        await self._call("POST cloud reboot", lambda: None)

    async def tag(self, instance: Instance, tags: Mapping[str, str]) -> None:
        await self._call("POST cloud tag", lambda: self._tag({**self._made[instance.id][0].tags, **tags}, instance.id))

    async def untag(self, instance: Instance, *keys: str) -> None:
        def work() -> None:
            self._tag({key: value for key, value in self._made[instance.id][0].tags.items() if key not in keys}, instance.id)

        await self._call("POST cloud untag", work)

    def _tag(self, tags: Mapping[str, str], id: str) -> None:
        item, becomes, done = self._made[id]
        self._made[id] = (replace(item, tags=tags), becomes, done)

    def explain(self, error: Exception) -> ProviderError:
        return ec2errors.explain(error)

    def busy(self, error: Exception) -> bool:
        return False

    def refusal(self, error: Exception) -> Refusal | None:
        return ec2errors.refusal(error)

    def delete_all(self) -> None:
        for item in self.all():
            self._change(item.id, "shutting-down", "terminated", "User initiated")


class OpenStack(Cloud):
    """A cloud without tokens, which forgets deleted servers.

    It refuses notes on servers while an operation is in progress."""

    remembers = False

    def __init__(self) -> None:
        super().__init__()
        self.nova = Nova(SECONDS, lambda: asyncio.get_running_loop().time())
        self.nova.images.update({"one", "two"})

    def all(self) -> list[Instance]:
        return [self._instance(server.id) for server in self.nova.list()]

    def _instance(self, id: str) -> Instance:
        server = self.nova.get(id)
        extra = {"vm_state": server.state, "task_state": server.task, "metadata": server.metadata, "created": f"{server.created:020}"}
        return instance_of(Node(id, server.name, "unknown", [], [], None, extra=extra))

    async def _nova(self, what: str, work: Callable[[], Any]) -> Any:
        def translated() -> Any:
            try:
                return work()
            except Refused as refused:
                raise BaseHTTPError(refused.status, str(refused)) from refused

        return await self._call(f"POST cloud {what}", translated)

    async def launch(self, image: str, kind: str, tags: Mapping[str, str], user_data: bytes, token: str) -> Instance:
        metadata = {key.replace("/", ":"): value for key, value in tags.items() if key != "Name"}
        server = {"name": tags["Name"], "imageRef": image, "flavorRef": kind, "metadata": metadata}
        made: Instance = await self._nova("create", lambda: self._instance(self.nova.create({"server": server}).id))
        return made

    async def terminate(self, instance: Instance) -> None:
        await self._nova("terminate", lambda: self.nova.delete(instance.id) if instance.id in self.nova.servers else None)

    async def start(self, instance: Instance) -> None:
        await self._nova("start", lambda: self.nova.act(instance.id, {"os-start": None}))

    async def stop(self, instance: Instance) -> None:
        await self._nova("stop", lambda: self.nova.act(instance.id, {"os-stop": None}))

    async def restart(self, instance: Instance) -> None:
        await self._nova("reboot", lambda: self.nova.act(instance.id, {"reboot": {"type": "HARD"}}))

    async def tag(self, instance: Instance, tags: Mapping[str, str]) -> None:
        metadata = {key.replace("/", ":"): value for key, value in tags.items()}
        await self._nova("tag", lambda: self.nova.note(instance.id, metadata))

    async def untag(self, instance: Instance, *keys: str) -> None:
        for key in keys:
            await self._nova("untag", lambda key=key: self.nova.forget(instance.id, key.replace("/", ":")))  # type: ignore[misc] # mypy does not infer the defaults of lambdas

    def explain(self, error: Exception) -> ProviderError:
        return openstackerrors.explain(error)

    def busy(self, error: Exception) -> bool:
        return openstackerrors.busy(error)

    def refusal(self, error: Exception) -> Refusal | None:
        return openstackerrors.refusal(error)

    def delete_all(self) -> None:
        self.nova.servers.clear()
