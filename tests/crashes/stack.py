"""Run whole clusters in memory: API servers as in dev mode, a simulated Baremetal Operator, and
controllers that can be killed.

The servers include registries, claims, admission and authorisation. All parts communicate by HTTP,
on a virtual network and in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.chargedhosts import ChargedHosts
from apiserver.admission.machinequota import MachineQuota
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.admission.quotaturns import QuotaTurns
from apiserver.admission.resourcequota import ResourceQuota
from apiserver.apis.host import host_name
from apiserver.client.client import Client
from apiserver.client.objects import Resource
from apiserver.dev import policy
from apiserver.dev.core import LocalNamespaces, core_catalog
from apiserver.dev.hardware import hardware_data, real_hosts
from apiserver.dev.namespacecontroller import NamespaceController
from apiserver.filters import chain
from apiserver.filters.authorization import MASTERS, PrivilegedGroup, UnionAuthorizer
from apiserver.handlers.dispatch import Api
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.context import UserInfo
from apiserver.registry.workload import WorkloadRegistry
from apiserver.server.connections import Connections
from apiserver.server.metrics import Metrics
from controllers.run import compose
from controllers.simulator.controller import Simulator
from controllers.simulator.settings import Settings
from storage.cache import WatchCache
from tests.crashes import objects
from tests.crashes.guard import Guard
from tests.crashes.memory import Data, MemoryStore
from tests.crashes.network import Network, Process
from tests.crashes.virtual import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from apiserver.handlers.request.call import Call
    from apiserver.registry.generic.attributes import Attributes
    from apiserver.registry.generic.registry import Registry
    from apiserver.registry.generic.resource import Resource as Served
    from storage.base import Event

Object = dict[str, Any]

BMH = Resource("metal3.io", "v1alpha1", "baremetalhosts", "BareMetalHost")
SECRETS = Resource("", "v1", "secrets", "Secret")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace")
WORKLOADS = Resource("workload.metal3.io", "v1alpha1", "workloads", "Workload")
SETS = Resource("workload.metal3.io", "v1alpha1", "workloadsets", "WorkloadSet")
RESERVATIONS = Resource("workload.metal3.io", "v1alpha1", "reservations", "Reservation")
CLASSES = Resource("workload.metal3.io", "v1alpha1", "workloadclasses", "WorkloadClass")
HOSTS = Resource("workload.metal3.io", "v1alpha1", "hosts", "Host")
KINDS = {resource.kind: resource for resource in (BMH, SECRETS, NAMESPACES, WORKLOADS, SETS, RESERVATIONS, CLASSES, HOSTS)}

EPOCH = 1_800_000_000.0
OWNER = "owner"


class Tokens:
    """The users of bearer tokens."""

    def __init__(self) -> None:
        self.groups = {OWNER: MASTERS, "controllers": policy.CONTROLLERS, "provider": policy.PROVIDER, "operator": policy.OPERATOR}

    async def authenticate(self, call: Call) -> UserInfo | None:
        token = call.http.headers.get("Authorization", "").removeprefix("Bearer ")
        group = self.groups.get(token) or (policy.TENANT_PREFIX + token if token.startswith("tenant-") else None)
        return UserInfo(token, groups=(group,)) if group else None


class Quotas:
    """The source of the namespaces' quotas for an API server: of Workloads (`hard`), or of machines
    by class and by what they have (`amounts`).

    The used amount is computed as kube-controller-manager's quota controller does."""

    COUNTED = "count/workloads.workload.metal3.io"

    def __init__(self, server: ApiServer) -> None:
        self._server, self.hard, self.amounts = server, dict[str, int](), dict[str, dict[str, str]]()
        self.plugin = ResourceQuota(self, self._names, self._charged_count)

    async def get(self, namespace: str, *, live: bool = False) -> list[Object]:
        """See the protocol."""
        metadata = {"name": "q", "namespace": namespace, "resourceVersion": "1"}
        if namespace not in self.hard:
            return [{"metadata": metadata, "spec": {}, "status": {"hard": self.amounts.get(namespace, {})}}]
        used = len(self._names(self._server.registries["Workload"].resource, namespace))
        status = {"hard": {self.COUNTED: str(self.hard[namespace])}, "used": {self.COUNTED: str(used)}}
        return [{"metadata": metadata, "spec": {}, "status": status}]

    async def put_status(self, quota: Object) -> None:
        """Discard the status, because `get` counts the usage again."""

    def _names(self, resource: Served, namespace: str) -> list[str]:
        return [entry.name for entry in self._server.registries[resource.kind].collection.range(resource.key(namespace, ""))]

    def _charged_count(self, attributes: Attributes) -> int:
        registry = self._server.registries.get("Workload")
        return ChargedHosts(registry.claims).count(attributes) if isinstance(registry, WorkloadRegistry) else 0


class ApiServer:
    """One API server. `data` outlives it."""

    def __init__(self, name: str, network: Network, data: Data, committed: Callable[[list[Event]], None]) -> None:
        self.name, self.tokens = name, Tokens()
        self.cache = WatchCache(MemoryStore(data, committed=committed, progress_interval=60.0))
        namespaces = LocalNamespaces()
        self.quotas = Quotas(self)
        admission = AdmissionChain([NamespaceLifecycle(namespaces)])
        core = core_catalog(self.cache, admission)
        namespaces.registry = core.namespaces
        hardware = name == "hardware"
        managed = [] if hardware else management_catalog(self.cache, admission=admission, namespaces=namespaces).registries
        for one in managed:
            if isinstance(one, WorkloadRegistry):
                admission.add(MachineQuota(self.quotas, one.claims, QuotaTurns(self.cache)))
        admission.add(self.quotas.plugin)
        own = [real_hosts(self.cache, admission), hardware_data(self.cache, admission)] if hardware else managed
        registries = [*core.registries, *own]
        self.registries: dict[str, Registry] = {registry.resource.kind: registry for registry in registries}
        rules = policy.hardware_policy() if hardware else policy.management_policy()
        parts = chain.FilterConfig(
            authenticator=self.tokens,
            authorizer=UnionAuthorizer([PrivilegedGroup(), rules]),
            recorder=Metrics(),
            reduced=frozenset((one.resource.group, one.resource.plural) for one in registries if one.reduced is not None),
        )
        self._api = Api(registries)
        self._connections = Connections(chain.build(self._api.handle, parts))
        self._namespace_controller = NamespaceController(self.cache, core.namespaces, core.events, registries)
        self._clients: dict[str, Client] = {}
        self.port = network.listen(self._connections)
        self.url = f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for the duration of the block."""
        await self.cache.start()
        tasks = [asyncio.create_task(self._namespace_controller.run())]
        if isinstance(workloads := self.registries.get("Workload"), WorkloadRegistry):
            tasks.append(asyncio.create_task(workloads.heartbeat.run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in self._clients.values():
                await client.close()
            self._api.stop_watches()
            self._connections.pre_shutdown()
            await self._connections.shutdown(1.0)
            await self.quotas.plugin.close()
            await self.cache.close()

    def client(self, who: str = OWNER) -> Client:
        """Return a client that sends requests as a user."""
        if who not in self._clients:
            self._clients[who] = Client(objects.kubeconfig(self.url, who))
        return self._clients[who]

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return an object as it is, without an HTTP request."""
        entry = self.registries[kind].find(namespace, name)
        return None if entry is None else entry.object()

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        """Return an object like `find`. Raises KeyError if there is none."""
        found = self.find(kind, name, namespace)
        if found is None:
            raise KeyError(f"{kind} {namespace}/{name} in {self.name}")
        return found

    def all(self, kind: str) -> list[Object]:
        """Return all objects of a kind."""
        return [entry.object() for entry in self.registries[kind].collection.range()]

    async def create(self, *made: Object, who: str = OWNER) -> None:
        """Create objects as a user."""
        for obj in made:
            await self.client(who).create(KINDS[obj["kind"]], obj, obj["metadata"].get("namespace", ""))

    async def patch(self, kind: str, name: str, patch: Object, namespace: str = "", *, who: str = OWNER) -> Object:
        """Merge-patch an object as a user."""
        return await self.client(who).patch(KINDS[kind], name, patch, namespace)

    async def delete(self, kind: str, name: str, namespace: str = "", *, who: str = OWNER) -> None:
        """Delete an object as a user."""
        await self.client(who).delete(KINDS[kind], name, namespace)


@dataclass(frozen=True)
class Snapshot:
    """The state of all clusters at rest, from which other stacks begin."""

    data: dict[str, Data] = field(default_factory=dict)

    def copy(self, name: str) -> Data:
        """Return a copy of the state of one cluster."""
        return self.data[name].copy() if name in self.data else Data()


class Stack:
    """A hardware cluster with its operator, and management clusters by name. `control` starts
    controllers."""

    def __init__(self, network: Network, snapshot: Snapshot, managements: Sequence[str]) -> None:
        self.network, self.guard = network, Guard()
        self._data = {name: snapshot.copy(name) for name in ("hardware", *managements)}
        self.hardware = ApiServer("hardware", network, self._data["hardware"], self.guard.hardware)
        self.managements = {name: ApiServer(name, network, self._data[name], partial(self.guard.management, name)) for name in managements}
        self.processes: list[Process] = []

    @property
    def management(self) -> ApiServer:
        """Return the first, or only, management cluster."""
        return next(iter(self.managements.values()))

    def snapshot(self) -> Snapshot:
        """Return the state as it is now."""
        return Snapshot({name: data.copy() for name, data in self._data.items()})

    def operate(self) -> Process:
        """Start the simulated Baremetal Operator."""
        loop = asyncio.get_running_loop()

        async def main() -> None:
            async with Client(objects.kubeconfig(self.hardware.url, "operator")) as client:
                await Simulator(client, Settings(), clock=lambda: EPOCH + loop.time()).run()

        return self._start("operator", main)

    def control(self, name: str = "") -> Process:
        """Start the controllers of a management cluster."""
        server = self.managements[name] if name else self.management

        async def main() -> None:
            async with Client(objects.kubeconfig(server.url, "controllers")) as client:
                manager, _, _ = compose(client)
                await manager.run()

        return self._start(f"controllers of {server.name}", main)

    def _start(self, name: str, main: Callable[[], Any]) -> Process:
        process = Process(name)
        process.start(main)
        self.processes.append(process)
        return process

    def real(self, name: str) -> Object:
        """Return a real host."""
        return self.hardware.get("BareMetalHost", name, objects.HARDWARE)

    def host_of(self, name: str, server: ApiServer | None = None) -> Object:
        """Return the Host object of a real host."""
        return (server or self.management).get("Host", host_name(self.real(name)["metadata"]["uid"]))

    async def seed(self, hosts: int, **class_spec: Any) -> None:
        """Create namespaces, registered hosts, and a class for them in each management cluster."""
        await self.hardware.create(objects.namespace(objects.HARDWARE))
        await self.hardware.create(*(obj for number in range(hosts) for obj in objects.host(f"h{number}", size="m")))
        for server in self.managements.values():
            await server.create(*(objects.namespace(name) for name in ("kube-system", objects.SYSTEM, "default", "tenant-a", "tenant-b")))
            await server.create(objects.credentials(objects.kubeconfig(self.hardware.url, "provider")))
            await server.create(objects.workload_class(**class_spec))

    async def until(self, check: Callable[[], Any], seconds: float = 300.0) -> None:
        """Let time pass until the check returns true, and check all invariants."""
        await eventually(check, seconds)
        assert self.guard.broken == []

    async def settled(self, seconds: float = 300.0, quiet: float = 8.0) -> None:
        """Let time pass until nothing is written for a while."""
        before: tuple[int, ...] = ()
        for _ in range(int(seconds / quiet)):
            now = tuple(data.revision for data in self._data.values())
            if now == before:
                return
            before = now
            await asyncio.sleep(quiet)
        raise AssertionError("it does not come to rest")


@asynccontextmanager
async def running(
    snapshot: Snapshot | None = None, *, managements: Sequence[str] = ("management",), delay: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[Stack]:
    """Yield a stack with a running operator, from a snapshot or empty."""
    network = Network(delay)
    with network.installed():
        stack = Stack(network, snapshot or Snapshot(), managements)
        async with AsyncExitStack() as servers:
            for server in (stack.hardware, *stack.managements.values()):
                await servers.enter_async_context(server.running())
            stack.operate()
            try:
                yield stack
            finally:
                for process in stack.processes:
                    await process.kill()
