"""Start the two Kubernetes control planes on one etcd: certificates, processes, administrators'
kubeconfigs, readiness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from hack.realcluster import pki, ports
from hack.realcluster.client import Client, wait_for
from hack.realcluster.components import FRONT_PROXY_NAME, AuditLog, Etcd, FrontProxy, KubeApiserver, KubeControllerManager
from hack.realcluster.kubeconfig import kubeconfig
from hack.realcluster.manifests import DATA
from hack.realcluster.processes import Process, Processes
from hack.realcluster.settings import Folder, Settings

READY_SECONDS = 90.0
# Shutdown ends the highest stage first: clients before the servers that they need for a clean end.
ETCD_STAGE, KUBERNETES_STAGE, SERVER_STAGE, CLIENT_STAGE = range(4)
MASTERS = "system:masters"
TOKEN_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Etcds:
    """The running etcd and how to reach it."""

    settings: Etcd
    process: Process
    ca: Path
    client: pki.WrittenPair

    def storage(self, prefix: str) -> str:
        """Return the --storage of `metal3-workloads serve` for keys below `prefix`.

        Compaction is left to the kube-apiservers, which keep their objects in the same etcd and
        watch them.
        """
        query = urlencode({"ca": self.ca, "cert": self.client.certificate, "key": self.client.key, "keep-history": 0}, safe="/")
        return f"etcds://{self.settings.endpoint.removeprefix('https://')}{prefix}?{query}"


@dataclass(frozen=True)
class Cluster:
    """A running kube-apiserver with its authority, and its administrator."""

    name: str
    authority: pki.Authority
    ca: Path
    server: str
    process: Process
    admin: pki.WrittenPair
    service_account_key: Path

    def client(self) -> Client:
        """Return a client with all permissions."""
        return Client(self.server, self.authority.certificate, self.admin)

    def kubeconfig(self, identity: pki.KeyPair | str, namespace: str = "default") -> bytes:
        """Return a kubeconfig of this cluster for a client certificate or a token."""
        return kubeconfig(self.server, self.authority.certificate, identity, name=self.name, namespace=namespace)


def start_etcd(binary: Path, settings: Settings, folder: Folder, processes: Processes) -> Etcds:
    """Start etcd without waiting for it, because kube-apiserver retries."""
    authority = pki.Authority("etcd-ca")
    ca = _write(folder.pki / "etcd-ca.crt", authority.certificate)
    pair = authority.server("etcd", pki.LOOPBACK).write(folder.pki / "etcd")
    etcd = Etcd(folder.root / "etcd", ports.reserve(), ports.reserve(), pair, ca, fsync=settings.fsync)
    process = processes.start("etcd", etcd.argv(binary), stage=ETCD_STAGE)
    return Etcds(etcd, process, ca, authority.client("etcd-client").write(folder.pki / "etcd-client"))


async def start_cluster(
    name: str, binary: Path, etcd: Etcds, folder: Folder, processes: Processes, *, aggregates: bool, audit: AuditLog | None = None
) -> Cluster:
    """Start a kube-apiserver under `name`, write `<name>.kubeconfig` for its administrator, and
    wait until it is ready.

    `audit`: the audit policy and the log's file. Without it, a kube-apiserver that aggregates
    records requests about secrets."""
    authority = pki.Authority(f"{name}-ca")
    ca = _write(folder.pki / f"{name}-ca.crt", authority.certificate)
    private, public = pki.signing_key()
    private_key, public_key = folder.pki / f"{name}-service-accounts.key", folder.pki / f"{name}-service-accounts.pub"
    pki.write_private(private_key, private)
    public_key.write_bytes(public)
    apiserver = KubeApiserver(
        port=ports.reserve(),
        etcd=etcd.settings.endpoint,
        etcd_ca=etcd.ca,
        etcd_pair=etcd.client,
        etcd_prefix=f"/{name}",
        pair=authority.server("kube-apiserver", pki.LOOPBACK).write(folder.pki / f"{name}-kube-apiserver"),
        client_ca=ca,
        service_account_key=private_key,
        service_account_public_key=public_key,
        front_proxy=_front_proxy(name, folder) if aggregates else None,
        audit=audit or (AuditLog(DATA / "secrets-audit-policy.yaml", folder.secrets_audit) if aggregates else None),
    )
    process = processes.start(f"{name}-kube-apiserver", apiserver.argv(binary), stage=KUBERNETES_STAGE)
    admin = authority.client("kubernetes-admin", (MASTERS,))
    cluster = Cluster(name, authority, ca, apiserver.server, process, admin.write(folder.pki / f"{name}-admin"), private_key)
    pki.write_private(folder.root / f"{name}.kubeconfig", cluster.kubeconfig(admin))
    async with cluster.client() as client:
        await wait_for(f"readiness of the {name} cluster", client.ready, seconds=READY_SECONDS, processes=(process, etcd.process))
    return cluster


async def start_controller_manager(binary: Path, cluster: Cluster, folder: Folder, processes: Processes, prefix: str = "") -> Process:
    """Start the kube-controller-manager of a cluster and wait until it is healthy."""
    config = folder.pki / "kube-controller-manager.kubeconfig"
    pki.write_private(config, cluster.kubeconfig(cluster.authority.client("system:kube-controller-manager")))
    pair = cluster.authority.server("kube-controller-manager", pki.LOOPBACK).write(folder.pki / "kube-controller-manager")
    manager = KubeControllerManager(ports.reserve(), config, pair, cluster.ca, cluster.service_account_key)
    process = processes.start(f"{prefix}kube-controller-manager", manager.argv(binary), stage=CLIENT_STAGE)
    async with Client(f"https://127.0.0.1:{manager.port}", cluster.authority.certificate, cluster.admin) as client:
        await wait_for("health of the kube-controller-manager", client.healthy, seconds=READY_SECONDS, processes=(process, cluster.process))
    return process


async def service_account_kubeconfig(cluster: Cluster, client: Client, namespace: str, name: str) -> bytes:
    """Return a kubeconfig for a service account."""
    return cluster.kubeconfig(await service_account_token(client, namespace, name), namespace)


async def service_account_token(client: Client, namespace: str, name: str) -> str:
    """Return a token of a service account. It is valid as long as the certificates are."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": TOKEN_SECONDS}}
    answer = await client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", request)
    return str(answer["status"]["token"])


def _front_proxy(name: str, folder: Folder) -> FrontProxy:
    authority = pki.Authority(f"{name}-front-proxy-ca")
    ca = _write(folder.pki / f"{name}-front-proxy-ca.crt", authority.certificate)
    return FrontProxy(ca, authority.client(FRONT_PROXY_NAME).write(folder.pki / f"{name}-front-proxy-client"))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
