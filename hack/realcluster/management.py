"""Fill the management cluster: the project's manifests, tenants, the server with its APIServices,
the class and the controllers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.realcluster import manifests, pki, ports
from hack.realcluster.client import Client, Object, wait_for
from hack.realcluster.controlplane import CLIENT_STAGE, SERVER_STAGE, Cluster, service_account_kubeconfig, service_account_token
from hack.realcluster.kubeconfig import kubeconfig
from hack.realcluster.processes import Process, Processes
from hack.realcluster.settings import Folder

READY_SECONDS = 60.0
CLASSES = "/apis/workload.metal3.io/v1alpha1/workloadclasses"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
ENDING_FLAGS = ("--shutdown-delay-duration", "--shutdown-idle-timeout")
"""The flags that are left out: no load balancer is in front of the server here, and it ends before
kube-apiserver."""
GATEWAY_FLAGS = ("--gateway-bind-address", "--gateway-port", "--gateway-tls-san")
SERVER_FLAGS = (
    *GATEWAY_FLAGS,
    "--storage",
    "--bind-address",
    "--secure-port",
    "--tls-san",
    "--tls-cert-file",
    "--tls-private-key-file",
    *ENDING_FLAGS,
)
CONTROLLERS_FLAGS = ("--apiserver", "--health-port", "--health-bind-address")
"""The flags whose values differ between a pod and a process of these clusters."""
VIEW_FLAGS = ("--host-view-group=metal3.io",)


@dataclass(frozen=True)
class Server:
    """The running API server and the authority of its serving certificate."""

    process: Process
    port: int
    ca: Path
    ca_pem: bytes
    gateway_port: int = 0

    @property
    def gateway_url(self) -> str:
        """Return the URL of the gateway, "" if there is none."""
        return f"https://127.0.0.1:{self.gateway_port}" if self.gateway_port else ""

    @property
    def url(self) -> str:
        """Return the URL of the server without kube-apiserver in between."""
        return f"https://127.0.0.1:{self.port}"


async def prepare(client: Client, kubectl: Path, base: list[Object], tenants: tuple[str, ...]) -> None:
    """Apply what must exist before the server starts: namespaces, service accounts, roles and
    tenants."""
    template = await manifests.kustomize(kubectl, manifests.ROOT / "manifests" / "tenant")
    objects = [obj for obj in base if obj["kind"] in manifests.RESOURCES and obj["kind"] not in ("APIService", "Service")]
    for tenant in tenants:
        objects += manifests.for_tenant(template, tenant)
    namespaces = [obj for obj in objects if obj["kind"] == "Namespace"]
    await client.apply_all(manifests.with_paths(namespaces))
    await client.apply_all(manifests.with_paths(obj for obj in objects if obj not in namespaces))


def write_tenants(cluster: Cluster, folder: Folder, tenants: tuple[str, ...]) -> None:
    """Give every tenant a client certificate (user `tenant-<name>`) and a kubeconfig with its
    namespace as the default."""
    for tenant in tenants:
        identity = cluster.authority.client(f"tenant-{tenant}")
        identity.write(folder.pki / f"tenant-{tenant}")
        pki.write_private(folder.tenant(tenant), cluster.kubeconfig(identity, tenant))


async def write_gateway(cluster: Cluster, client: Client, server: Server, folder: Folder, tenants: tuple[str, ...]) -> None:
    """Give every tenant a service account `tenant` with its rights, and a kubeconfig of the gateway
    with that account's token."""
    for tenant in tenants:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant", "namespace": tenant}}
        await client.apply_all(manifests.with_paths([account]))
        token = await service_account_token(client, tenant, "tenant")
        config = kubeconfig(server.gateway_url, server.ca_pem, token, name="gateway", namespace=tenant)
        pki.write_private(folder.gateway(tenant), config)


async def start_server(
    program: Path,
    cluster: Cluster,
    client: Client,
    storage: str,
    folder: Folder,
    processes: Processes,
    prefix: str = "",
    *,
    audit: bool = True,
    flags: Sequence[str] = VIEW_FLAGS,
) -> Server:
    """Start `metal3-workloads serve` with this --storage and wait until it is ready.

    `prefix`: of the process's name. `flags`: the flags in addition to those for addresses and
    files."""
    authority = pki.Authority("metal3-workloads-ca")
    ca = folder.pki / "apiserver-ca.crt"
    ca.write_bytes(authority.certificate)
    service = f"{manifests.SERVICE}.{manifests.SYSTEM_NAMESPACE}.svc"
    pair = authority.server(service, (service, *pki.LOOPBACK)).write(folder.pki / "apiserver")
    config = folder.pki / "apiserver.kubeconfig"
    pki.write_private(config, await service_account_kubeconfig(cluster, client, manifests.SYSTEM_NAMESPACE, "metal3-workloads-apiserver"))
    port = ports.reserve()
    argv: list[str | Path] = [
        *(program, "serve"),
        *("--storage", storage),
        *("--kubeconfig", config),
        *("--bind-address", "127.0.0.1", "--secure-port", str(port)),
        *("--tls-cert-file", pair.certificate, "--tls-private-key-file", pair.key),
        *("--client-ca-file", cluster.ca),
        *flags,
    ]
    gateway = ports.reserve() if "--gateway" in flags else 0
    if gateway:
        argv += ["--gateway-port", str(gateway), "--gateway-tls-cert-file", pair.certificate, "--gateway-tls-private-key-file", pair.key]
    if audit:
        argv += ["--audit-policy-file", manifests.DATA / "audit-policy.yaml", "--audit-log-path", folder.audit]
    server = Server(processes.start(f"{prefix}apiserver", argv, stage=SERVER_STAGE), port, ca, authority.certificate, gateway)
    async with Client(server.url, server.ca_pem, cluster.admin) as direct:
        await wait_for("readiness of the API server", direct.ready, seconds=READY_SECONDS, processes=(server.process, cluster.process))
    return server


async def register(client: Client, base: list[Object], server: Server) -> None:
    """Register the server with kube-apiserver and wait until its APIServices are available."""
    kinds = ("Service", "APIService")
    objects = manifests.out_of_cluster((obj for obj in base if obj["kind"] in kinds), port=server.port, ca=server.ca_pem)
    for kind in kinds:
        # The Service comes first: an APIService without a Service is checked again only after a
        # while.
        await client.apply_all(manifests.with_paths(obj for obj in objects if obj["kind"] == kind))

    names = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "APIService"]

    async def available() -> str | None:
        for name in names:
            conditions = (await client.get(f"{API_SERVICES}/{name}")).get("status", {}).get("conditions", [])
            if (missing := unmet(conditions, "Available")) is not None:
                return f"APIService {name} is not available: {missing}"
        return None

    await wait_for("the APIServices", available, seconds=READY_SECONDS, processes=(server.process,))


async def create_class(client: Client, class_: Object, credentials: bytes) -> None:
    """Create a class, and the secret that it names with this kubeconfig."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": class_["spec"]["credentialsSecretRef"],
        "data": {"kubeconfig": base64.b64encode(credentials).decode("ascii")},
    }
    await client.apply(manifests.path_of(secret), secret)
    await client.request("POST", CLASSES, class_)


async def start_controllers(
    program: Path,
    cluster: Cluster,
    client: Client,
    folder: Folder,
    processes: Processes,
    server: Server,
    prefix: str = "",
    *,
    flags: Sequence[str] = (),
) -> Process:
    """Start `metal3-workloads controllers` under its own service account, as manifests/base
    does."""
    config = folder.pki / "controllers.kubeconfig"
    token = await service_account_kubeconfig(cluster, client, manifests.SYSTEM_NAMESPACE, "metal3-workloads-controllers")
    pki.write_private(config, token)
    return processes.start(
        f"{prefix}controllers", [program, "controllers", "--kubeconfig", config, "--apiserver", server.url, *flags], stage=CLIENT_STAGE
    )


async def wait_for_offers(
    client: Client, class_: str, tenants: tuple[str, ...], hosts: int, *processes: Process, group: str = "metal3.io"
) -> None:
    """Wait until the class is connected and every tenant is offered every host."""

    async def connected() -> str | None:
        return unmet((await client.get(f"{CLASSES}/{class_}")).get("status", {}).get("conditions", []), "Connected")

    async def offered() -> str | None:
        for tenant in tenants:
            views = (await client.get(f"/apis/{group}/v1alpha1/namespaces/{tenant}/baremetalhosts"))["items"]
            if len(views) < hosts:
                return f"namespace {tenant} is offered {len(views)} of {hosts}"
        return None

    await wait_for(f"the class `{class_}` being connected", connected, seconds=READY_SECONDS, processes=processes, poll=0.1)
    await wait_for("hosts being offered", offered, seconds=READY_SECONDS + hosts / 4, processes=processes, poll=0.2)


def unmet(conditions: list[Object], kind: str) -> str | None:
    """Return None if the condition is True, else why it is not."""
    for condition in conditions:
        if condition["type"] == kind:
            reason = f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
            return None if condition["status"] == "True" else f"{kind} is {condition['status']}: {reason}"
    return f"there is no condition {kind} yet"
