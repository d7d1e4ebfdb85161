"""Start a third control plane to move to: this project with a relay of the first tenant's hosts.

The relay uses only that tenant's credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hack.realcluster import controlplane, management, manifests
from hack.realcluster.controlplane import Cluster, Etcds
from hack.realcluster.processes import Process, Processes
from hack.realcluster.settings import Folder, Settings

NAME = "target"
PREFIX = f"{NAME}-"


class Target:
    """The target cluster.

    Its files are in the folder `target` of the cluster's folder, and its processes' names begin
    with `target-`."""

    def __init__(
        self, tools: Path, program: Path, settings: Settings, folder: Folder, processes: Processes, say: Callable[[str], None]
    ) -> None:
        self._tools, self._program, self._settings, self._say = tools, program, settings, say
        self._processes, self._folder = processes, Folder(folder.root / NAME)
        self._tenants = settings.tenants[:1]
        self._cluster: Cluster | None = None
        self._server: management.Server | None = None
        self._controllers: Process | None = None

    async def start(self, binary: Path, etcd: Etcds, base: Awaitable[list[dict[str, Any]]]) -> None:
        """Start its kube-apiserver with this project's server."""
        folder, processes = self._folder, self._processes
        folder.create()
        cluster = self._cluster = await controlplane.start_cluster(NAME, binary, etcd, folder, processes, aggregates=True)
        storage = (
            f"sqlite:///{folder.root / 'data' / 'store.db'}" if self._settings.storage == "sqlite" else etcd.storage(f"/{NAME}-workloads")
        )
        async with cluster.client() as client:
            management.write_tenants(cluster, folder, self._tenants)
            await management.prepare(client, self._tools / "kubectl", await base, self._tenants)
            self._server = await management.start_server(self._program, cluster, client, storage, folder, processes, PREFIX)
            await management.register(client, await base, self._server)
            await controlplane.start_controller_manager(self._tools / "kube-controller-manager", cluster, folder, processes, PREFIX)
        self._say("target cluster has its API server")

    async def relay(self, credentials: bytes) -> None:
        """Start its class and its controllers. `credentials`: the tenant's kubeconfig of the
        management cluster."""
        cluster, folder, processes = self._started(), self._folder, self._processes
        assert self._server is not None
        async with cluster.client() as client:
            await management.create_class(client, manifests.relay_class(self._tenants[0]), credentials)
            self._controllers = await management.start_controllers(self._program, cluster, client, folder, processes, self._server, PREFIX)
            await management.wait_for_offers(client, "relay", self._tenants, self._settings.hosts, self._controllers)
        self._say("target cluster relays the hosts")

    def describe(self) -> dict[str, Any]:
        """Return its part of cluster.json."""
        cluster = self._started()
        assert self._server is not None
        assert self._controllers is not None
        return {
            "kubeconfig": str(self._folder.root / f"{NAME}.kubeconfig"),
            "server": cluster.server,
            "pid": cluster.process.pid,
            "apiserver": {"pids": [self._server.process.pid], "url": self._server.url, "ca": str(self._server.ca)},
            "controllers": {"pids": [self._controllers.pid]},
            "tenants": {name: str(self._folder.tenant(name)) for name in self._tenants},
        }

    def _started(self) -> Cluster:
        assert self._cluster is not None
        return self._cluster
