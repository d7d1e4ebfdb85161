"""Run whole management clusters in this process: the real API server over SQLite with its
controllers, and hardware in memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.dev import policy
from apiserver.dev.endpoints import management_endpoint
from apiserver.dev.kubeconfigs import Context, kubeconfig
from apiserver.filters.authorization import MASTERS
from apiserver.server.pki import Authority
from controllers import kinds
from controllers.run import compose
from tests.unit.controllers.clusters import BMH, HastyBMO, bmh
from tests.unit.controllers.fakeapi import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from apiserver.client.objects import Resource

Object = dict[str, Any]

VIEWS = kinds.views()
NAMESPACE = "team-a"
SYSTEM = "system"


class Killed(Exception):
    """The command was killed."""


class MortalClient(Client):
    """Kill the command after the number of writes that `lives` counts down for all clients
    together."""

    lives: list[int]

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = await super().request(method, path, **more)
        if method != "GET":
            self.lives[0] -= 1
            if self.lives[0] == 0:
                raise Killed
        return answer


def condition(obj: Object, type_: str) -> Object:
    """Return the condition of this type. Raises KeyError if there is none yet."""
    found: dict[str, Object] = {item["type"]: item for item in obj["status"]["conditions"]}
    return found[type_]


async def eventually(check: Callable[[], Awaitable[Any]], timeout: float = 120.0) -> Any:
    """Wait until the check returns a true value, without an AssertionError or a missing object or
    field."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            if result := await check():
                return result
            problem: Exception = AssertionError("it did not become true in time")
        except (AssertionError, KeyError, IndexError, ApiException) as error:
            problem = error
        if asyncio.get_running_loop().time() > deadline:
            raise problem
        await asyncio.sleep(0.02)


@dataclass
class ManagementCluster:
    """One management cluster. `admin` has all permissions; `url` is the server's own."""

    name: str
    authority: Authority
    url: str
    admin: Client
    halt: Callable[[], Awaitable[None]] = field(repr=False)
    """A function that kills the controllers."""

    def config(self, user: str, group: str, url: str = "") -> Object:
        """Return a kubeconfig for a user and a group."""
        identity = self.authority.client(user, [group])
        return kubeconfig(user, identity, self.authority.pair.certificate, [Context("cluster", url or self.url)])

    def tenant(self, namespace: str = NAMESPACE, url: str = "") -> Object:
        """Return a tenant's kubeconfig."""
        return self.config("tenant", policy.TENANT_PREFIX + namespace, url)

    async def make(self, resource: Resource, name: str, namespace: str = "", **content: Any) -> Object:
        """Create an object."""
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **content}
        return await self.admin.create(resource, obj, namespace)

    async def empty_set(self, name: str) -> None:
        """Create a WorkloadSet without members."""
        template = {"metadata": {"labels": {"set": name}}}
        await self.make(kinds.SETS, name, NAMESPACE, spec={"replicas": 0, "selector": {"matchLabels": {"set": name}}, "template": template})

    async def namespace(self, name: str) -> None:
        await self.make(kinds.NAMESPACES, name)

    async def secret(self, name: str, namespace: str = NAMESPACE, **data: str) -> None:
        await self.make(kinds.SECRETS, name, namespace, stringData=data)

    async def add_class(self, name: str, provisioner: str, config: Object, namespaces: tuple[str, ...] = (NAMESPACE,), **spec: Any) -> None:
        """Create a class whose credentials are this kubeconfig."""
        await self.secret(f"{name}-credentials", SYSTEM, kubeconfig=orjson.dumps(config).decode())
        full = {
            "provisioner": provisioner,
            "credentialsSecretRef": {"namespace": SYSTEM, "name": f"{name}-credentials"},
            "allowedNamespaces": {"names": list(namespaces)},
            "metadata": {"labelsMatch": ".*", "annotationsMatch": ".*"},
            **spec,
        }
        await self.make(kinds.CLASSES, name, spec=full)

    async def relay(self, config: Object, namespace: str = NAMESPACE, name: str = "relay", **spec: Any) -> None:
        """Create a class of another management cluster's hosts."""
        await self.add_class(name, "metal3.io/relay", config, parameters={"namespace": namespace}, **spec)

    async def view(self, name: str = "h1", namespace: str = NAMESPACE) -> Object:
        return await self.admin.get(VIEWS, name, namespace)

    async def patch_view(self, patch: Object, name: str = "h1", namespace: str = NAMESPACE) -> Object:
        return await self.admin.patch(VIEWS, name, patch, namespace)

    async def workload(self, name: str, namespace: str = NAMESPACE) -> Object:
        return await self.admin.get(kinds.WORKLOADS, name, namespace)

    async def workloads(self, namespace: str = NAMESPACE) -> list[Object]:
        return (await self.admin.list_all(kinds.WORKLOADS, namespace))[0]

    async def create(self, name: str, namespace: str = NAMESPACE, **spec: Any) -> Object:
        """Create a Workload that runs something."""
        wanted = {"className": "metal", "image": {"url": "http://images.example/os", "checksum": "0" * 32}, **spec}
        return await self.make(kinds.WORKLOADS, name, namespace, spec=wanted)

    async def connected(self, name: str) -> Object:
        """Return the class's condition Connected."""
        return condition(await self.admin.get(kinds.CLASSES, name), "Connected")


@dataclass
class Hardware:
    """Hosts in memory. `bmo.log` lists what was put on them."""

    api: FakeApi
    bmo: HastyBMO

    def runs(self, name: str = "h1") -> str | None:
        image = self.api.get(BMH, name, "metal3")["status"]["provisioning"].get("image")
        return str(image["url"]) if image else None


class ManagementClusters:
    """Creates and ends management clusters."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack

    async def hardware(self, *hosts: str) -> Hardware:
        """Create hosts in memory with an immediate BMO."""
        api = await self._stack.enter_async_context(FakeApi().serving())
        bmo = HastyBMO(api)
        for name in hosts:
            api.put(BMH, bmh(name))
        await self._task(bmo.run())
        return Hardware(api, bmo)

    async def cluster(self, name: str, *, below: Hardware | None = None) -> ManagementCluster:
        """Create a management cluster with the namespace NAMESPACE, and with a class `metal` if it
        has hardware."""
        authority = Authority.create(f"{name}-ca")
        endpoint = management_endpoint(self._folder / f"{name}.db", authority, 0)
        await endpoint.app.start()
        self._stack.push_async_callback(endpoint.app.stop)
        made = ManagementCluster(name, authority, endpoint.app.url, Client(None), _nothing)
        made.admin = await self._stack.enter_async_context(Client(made.config("admin", MASTERS)))
        for namespace in ("kube-system", SYSTEM, NAMESPACE):
            await made.namespace(namespace)
        if below is not None:
            await made.add_class("metal", "metal3.io/baremetalhost", below.api.kubeconfig, parameters={"namespace": "metal3"})
        await self.start(made)
        return made

    async def start(self, cluster: ManagementCluster) -> None:
        """Run the management cluster's controllers."""
        client = await self._stack.enter_async_context(Client(cluster.config("controllers", policy.CONTROLLERS)))
        manager, _, sources = compose(client)
        self._stack.push_async_callback(sources.close)
        cluster.halt = await self._task(manager.run())
        await asyncio.wait_for(manager.started.wait(), 60)

    async def _task(self, work: Any) -> Callable[[], Awaitable[None]]:
        task = asyncio.ensure_future(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)
        return end


async def _nothing() -> None:
    """End nothing, because nothing runs."""


@asynccontextmanager
async def management_clusters(folder: Path) -> AsyncIterator[ManagementClusters]:
    """Yield a factory of management clusters, which all end with it."""
    async with AsyncExitStack() as stack:
        yield ManagementClusters(folder, stack)
    await _all_closed()


async def _all_closed() -> None:
    """Wait until the sockets of all connections are closed.

    A cluster that is ended may be in the middle of a handshake with another one. If the loop ends
    first, the garbage collector finds an open transport in a later test, and fails that one."""
    loop = asyncio.get_running_loop()
    transports = cast("Any", loop)._transports
    deadline = loop.time() + 60
    while any(one.get_extra_info("socket").fileno() != -1 for one in list(transports.values())):
        assert loop.time() < deadline, f"still open: {list(transports.values())}"
        await asyncio.sleep(0.01)
