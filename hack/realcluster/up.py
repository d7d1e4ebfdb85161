"""Bring a cluster up and end it: define the order of the steps, and which run concurrently."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from hack.realcluster import controlplane, hardware, management, manifests, ports
from hack.realcluster.client import Client, Object
from hack.realcluster.controlplane import Cluster, Etcds
from hack.realcluster.processes import Process, ProcessError, Processes
from hack.realcluster.settings import Folder, Settings
from hack.realcluster.target import Target

DEFAULT_OVERLAY = "base"
Say: TypeAlias = "Callable[[str], None]"


def progress() -> Say:
    """Return a function that prints lines to stderr, each with the seconds since this call."""
    begin = time.monotonic()
    return lambda line: print(f"[{time.monotonic() - begin:5.1f}s] {line}", file=sys.stderr, flush=True)


async def down(root: Path) -> list[str]:
    """End every process of the cluster in `root`. Return the names of those that had to be killed.

    Calling this again has no effect."""
    return await Processes(root).stop_all()


async def restart(folder: Folder, name: str, *, gently: bool) -> None:
    """End one process of a running cluster, start it again with the same arguments, and write its
    new pid to cluster.json.

    Its readiness is not awaited."""
    old, new = await Processes(folder.root).restart(name, gently=gently)
    description = json.loads(folder.description.read_text())
    folder.description.write_text(json.dumps(with_pid(description, old.pid, new.pid), indent=1) + "\n")


def with_pid(value: Any, old: int, new: int) -> Any:
    """Return the description with one pid replaced wherever it occurs under `pid` or `pids`."""
    if not isinstance(value, dict):
        return value
    replaced = {key: with_pid(item, old, new) for key, item in value.items()}
    if "pids" in replaced:
        replaced["pids"] = [new if pid == old else pid for pid in replaced["pids"]]
    if replaced.get("pid") == old:
        replaced["pid"] = new
    return replaced


class Up:
    """One run of `up`. A failure or a cancellation ends every process that was started."""

    def __init__(self, settings: Settings, folder: Folder, say: Say) -> None:
        self.settings, self.folder, self.say = settings, folder, say
        self.processes = Processes(folder.root)
        self.tools = Path()
        self.program = Path(sys.executable).with_name("metal3-workloads")
        self.served = settings.program or self.program
        self.apiserver: management.Server | None = None
        self.controllers: list[Process] = []
        self.metrics_port = 0
        self.bmo: list[Process] = []
        self.target: Target | None = None
        self.objects: list[Object] = []

    async def run(self) -> dict[str, Any]:
        """Bring everything up. Return what was written to cluster.json."""
        self.tools = build_tools()
        if self.settings.server and not self.program.exists():
            raise ProcessError(f"there is no {self.program}: install the project into this Python's environment (make setup)")
        self.folder.create()
        try:
            description = await self._run()
        except BaseException:
            self.say("failed: ending what was started")
            await asyncio.shield(self.processes.stop_all())
            raise
        self.say("all is ready")
        return description

    async def _run(self) -> dict[str, Any]:
        binary = self.tools / "kube-apiserver"
        etcd = controlplane.start_etcd(self.tools / "etcd", self.settings, self.folder, self.processes)
        base = asyncio.create_task(manifests.overlay(self.tools / "kubectl", self.settings.overlay))
        async with asyncio.TaskGroup() as group:
            if self.settings.target:
                self.target = Target(self.tools, self.program, self.settings, self.folder, self.processes, self.say)
                group.create_task(self.target.start(binary, etcd, base))
            both = group.create_task(self._both(binary, etcd, base))
        if self.target is not None:
            await self.target.relay(self.folder.tenant(self.settings.tenants[0]).read_bytes())
        description = self._describe(*both.result(), etcd)
        self.folder.description.write_text(json.dumps(description, indent=1) + "\n")
        return description

    async def _both(self, binary: Path, etcd: Etcds, base: Awaitable[list[dict[str, Any]]]) -> tuple[Cluster, Cluster]:
        """Bring up the hardware and the management cluster, with everything on them."""
        start = controlplane.start_cluster
        async with asyncio.TaskGroup() as group:
            tenants = group.create_task(start("management", binary, etcd, self.folder, self.processes, aggregates=True))
            owner = tenants
            if not self.settings.one_cluster:
                owner = group.create_task(start("hardware", binary, etcd, self.folder, self.processes, aggregates=False))
        self.say("the kube-apiserver is ready" if self.settings.one_cluster else "both kube-apiservers are ready")
        async with owner.result().client() as at_hardware, tenants.result().client() as at_management:
            async with asyncio.TaskGroup() as group:
                credentials = group.create_task(self._hardware(owner.result(), at_hardware))
                group.create_task(self._management(tenants.result(), at_management, await base, self._storage(etcd)))
            if self.settings.server:
                await self._serve_tenants(tenants.result(), at_management, at_hardware, credentials.result())
        return owner.result(), tenants.result()

    async def _hardware(self, cluster: Cluster, client: Client) -> bytes:
        await hardware.prepare(client, self.tools / "kubectl", self.settings)
        self.say(f"hardware cluster has {self.settings.hosts} hosts")
        if self.settings.bmo == "simulated" and self.settings.server:
            self.bmo.append(await hardware.start_simulated_bmo(self.program, cluster, client, self.settings, self.folder, self.processes))
        return await hardware.credentials(cluster, client)

    def _storage(self, etcd: Etcds) -> str:
        if self.settings.storage == "etcd":
            return etcd.storage("/metal3-workloads")
        return f"sqlite:///{self.folder.root / 'data' / 'store.db'}"

    async def _management(self, cluster: Cluster, client: Client, base: list[dict[str, Any]], storage: str) -> None:
        self.objects = base
        management.write_tenants(cluster, self.folder, self.settings.tenants)
        await management.prepare(client, self.tools / "kubectl", base, self.settings.tenants)
        self.say("management cluster has its roles and tenants")
        if self.settings.bmo_kind:
            await hardware.install_kinds(client)
        if self.settings.server:
            self.apiserver = await management.start_server(
                self.served,
                cluster,
                client,
                storage,
                self.folder,
                self.processes,
                audit=self.settings.audit,
                flags=self._flags(manifests.SERVICE, management.SERVER_FLAGS) or management.VIEW_FLAGS,
            )
            self.say("API server is ready")
            if self.apiserver.gateway_port:
                await management.write_gateway(cluster, client, self.apiserver, self.folder, self.settings.tenants)
            await management.register(client, base, self.apiserver)
            self.say("APIServices are available")
        # It starts after the APIServices, because garbage collector and quota look for new
        # resources only every 30 s.
        await controlplane.start_controller_manager(self.tools / "kube-controller-manager", cluster, self.folder, self.processes)

    async def _serve_tenants(self, cluster: Cluster, client: Client, at_hardware: Client, credentials: bytes) -> None:
        await management.create_class(client, manifests.metal_class(self.settings.tenants), credentials)
        if self.settings.controllers and self.apiserver is not None:
            self.metrics_port = ports.reserve()
            flags = [*self._flags("metal3-workloads-controllers", management.CONTROLLERS_FLAGS), *self._metrics_flags()]
            started = await management.start_controllers(
                self.served, cluster, client, self.folder, self.processes, self.apiserver, flags=flags
            )
            self.controllers.append(started)
        await hardware.wait_for_hosts(at_hardware, self.settings.hosts, *self.bmo)
        self.say("hosts are available")
        if self.settings.controllers:
            processes, group = (*self.controllers, *self.bmo), self._view_group()
            await management.wait_for_offers(client, "metal", self.settings.tenants, self.settings.hosts, *processes, group=group)
            self.say("class is connected, hosts are offered")

    def _flags(self, deployment: str, own: tuple[str, ...]) -> list[str]:
        """Return what the overlay gives a program; nothing for the base, which needs an overlay."""
        return manifests.arguments(self.objects, deployment, own) if self.settings.overlay != DEFAULT_OVERLAY else []

    def _metrics_flags(self) -> list[str]:
        """Return the flags for the controllers' metrics, with the API server's certificate."""
        pair = [str(self.folder.pki / f"apiserver.{kind}") for kind in ("crt", "key")]
        return ["--metrics-port", str(self.metrics_port), "--metrics-cert-file", pair[0], "--metrics-key-file", pair[1]]

    def _view_group(self) -> str:
        """Return the group of the view: metal3.io if the overlay registers this server for it."""
        names = {obj["metadata"]["name"] for obj in self.objects if obj["kind"] == "APIService"}
        return "metal3.io" if "v1alpha1.metal3.io" in names else "workload.metal3.io"

    def _describe(self, owner: Cluster, tenants: Cluster, etcd: Etcds) -> dict[str, Any]:
        server = self.apiserver
        return {
            "management": {"kubeconfig": str(self.folder.management), "server": tenants.server, "pid": tenants.process.pid},
            "hardware": {
                "kubeconfig": str(self.folder.management if owner is tenants else self.folder.hardware),
                "server": owner.server,
                "pid": owner.process.pid,
            },
            "etcd": {"pids": [etcd.process.pid], "endpoints": [etcd.settings.endpoint]},
            "apiserver": {
                "pids": [server.process.pid] if server else [],
                "url": server.url if server else "",
                "ca": str(server.ca) if server else "",
                "gateway": server.gateway_url if server else "",
                "clientCert": str(tenants.admin.certificate),
                "clientKey": str(tenants.admin.key),
            },
            "controllers": {"pids": [process.pid for process in self.controllers], "metrics": f"https://127.0.0.1:{self.metrics_port}"},
            "simulatedBmo": {"pids": [process.pid for process in self.bmo]},
            "tenants": {name: str(self.folder.tenant(name)) for name in self.settings.tenants},
            "gateway": {name: str(self.folder.gateway(name)) for name in self.settings.tenants if server and server.gateway_port},
            **({"target": self.target.describe()} if self.target is not None else {}),
        }


def build_tools() -> Path:
    """Return the folder with etcd, kube-apiserver, kube-controller-manager and kubectl.

    They are built if they are missing, which takes minutes."""
    script = manifests.ROOT / "hack" / "tools" / "build"
    built = subprocess.run([script], stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise ProcessError(f"{script} failed ({built.returncode}); what it said is above")
    return Path(built.stdout.strip())
