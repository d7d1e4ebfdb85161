"""Compute the command lines of etcd, kube-apiserver and kube-controller-manager from settings.

The set-up is reduced for small machines: no admission for pods, which never run, no endpoints to
reconcile, short profiles. What the project depends on (authentication, RBAC, aggregation, quota,
garbage collection, priority and fairness) is as in a production cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hack.realcluster.pki import WrittenPair

SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"
FRONT_PROXY_NAME = "front-proxy-client"
# The controllers that this project's behaviour depends on.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
# The plugins for pods, volumes and certificates, which do not exist in these clusters. LimitRanger
# and the rest stay as they are by default.
DISABLED_ADMISSION = (
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "PersistentVolumeClaimResize",
    "PodSecurity",
    "Priority",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
)
# The API groups that nothing here uses. Each costs a watch cache and a start-up step.
DISABLED_APIS = (
    "autoscaling/v1",
    "autoscaling/v2",
    "node.k8s.io/v1",
    "storage.k8s.io/v1",
)


@dataclass(frozen=True)
class Etcd:
    """The settings of a single-member etcd with TLS on both ports."""

    data: Path
    client_port: int
    peer_port: int
    pair: WrittenPair
    ca: Path
    fsync: bool = True

    @property
    def endpoint(self) -> str:
        """Return the URL for clients."""
        return f"https://127.0.0.1:{self.client_port}"

    def argv(self, binary: Path) -> list[str | Path]:
        """Return the command line."""
        peer = f"https://127.0.0.1:{self.peer_port}"
        tls = [f"--cert-file={self.pair.certificate}", f"--key-file={self.pair.key}", f"--trusted-ca-file={self.ca}"]
        peer_tls = [f"--peer-{flag.removeprefix('--')}" for flag in tls]
        return [
            binary,
            "--name=metal3",
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=metal3={peer}",
            "--client-cert-auth",
            "--peer-client-cert-auth",
            *tls,
            *peer_tls,
            "--watch-progress-notify-interval=5s",
            "--log-level=warn",
            *([] if self.fsync else ["--unsafe-no-fsync"]),
        ]


@dataclass(frozen=True)
class FrontProxy:
    """How a kube-apiserver proves to aggregated servers that it acts for a user."""

    ca: Path
    pair: WrittenPair


@dataclass(frozen=True)
class AuditLog:
    """The audit policy of a kube-apiserver, and the file of its log."""

    policy: Path
    log: Path


@dataclass(frozen=True)
class KubeApiserver:
    """The settings of one kube-apiserver.

    `front_proxy` enables aggregation. `etcd_prefix` allows several servers to share one etcd."""

    port: int
    etcd: str
    etcd_ca: Path
    etcd_pair: WrittenPair
    etcd_prefix: str
    pair: WrittenPair
    client_ca: Path
    service_account_key: Path
    service_account_public_key: Path
    front_proxy: FrontProxy | None = None
    audit: AuditLog | None = None

    @property
    def server(self) -> str:
        """Return the URL for clients."""
        return f"https://127.0.0.1:{self.port}"

    def argv(self, binary: Path) -> list[str | Path]:
        """Return the command line."""
        return [
            *(binary, *self._serving(), *self._etcd(), *self._service_accounts(), *self._aggregation()),
            *(*self._auditing(), *self._lightness()),
        ]

    def _serving(self) -> list[str | Path]:
        return [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.pair.certificate}",
            f"--tls-private-key-file={self.pair.key}",
            f"--client-ca-file={self.client_ca}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
        ]

    def _etcd(self) -> list[str | Path]:
        return [
            f"--etcd-servers={self.etcd}",
            f"--etcd-prefix={self.etcd_prefix}",
            f"--etcd-cafile={self.etcd_ca}",
            f"--etcd-certfile={self.etcd_pair.certificate}",
            f"--etcd-keyfile={self.etcd_pair.key}",
        ]

    def _service_accounts(self) -> list[str | Path]:
        return [
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-signing-key-file={self.service_account_key}",
            f"--service-account-key-file={self.service_account_public_key}",
            "--service-cluster-ip-range=10.96.0.0/16",
        ]

    def _aggregation(self) -> list[str | Path]:
        if self.front_proxy is None:
            return []
        return [
            f"--requestheader-client-ca-file={self.front_proxy.ca}",
            f"--requestheader-allowed-names={FRONT_PROXY_NAME}",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-uid-headers=X-Remote-Uid",
            f"--proxy-client-cert-file={self.front_proxy.pair.certificate}",
            f"--proxy-client-key-file={self.front_proxy.pair.key}",
        ]

    def _auditing(self) -> list[str | Path]:
        return [f"--audit-policy-file={self.audit.policy}", f"--audit-log-path={self.audit.log}"] if self.audit is not None else []

    def _lightness(self) -> list[str | Path]:
        return [
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            f"--disable-admission-plugins={','.join(DISABLED_ADMISSION)}",
            f"--runtime-config={','.join(f'{api}=false' for api in DISABLED_APIS)}",
        ]


@dataclass(frozen=True)
class KubeControllerManager:
    """The settings of the kube-controller-manager. Each controller has its own service account, as
    with kubeadm."""

    port: int
    kubeconfig: Path
    pair: WrittenPair
    root_ca: Path
    service_account_key: Path

    def argv(self, binary: Path) -> list[str | Path]:
        """Return the command line."""
        return [
            binary,
            f"--kubeconfig={self.kubeconfig}",
            f"--authentication-kubeconfig={self.kubeconfig}",
            f"--authorization-kubeconfig={self.kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.pair.certificate}",
            f"--tls-private-key-file={self.pair.key}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.service_account_key}",
            f"--root-ca-file={self.root_ca}",
            "--leader-elect=false",
            "--profiling=false",
            "--concurrent-gc-syncs=5",
            # Tests wait for namespace deletion and quota recounts.
            "--namespace-sync-period=30s",
            "--resource-quota-sync-period=30s",
        ]
