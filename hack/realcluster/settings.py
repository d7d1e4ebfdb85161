"""Define the settings of a cluster and the paths of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """The options of `hack/cluster up`."""

    storage: Literal["sqlite", "etcd"] = "sqlite"
    hosts: int = 4
    bmo: Literal["simulated", "none"] = "simulated"
    """Without a simulated Baremetal Operator, nothing drives the hosts."""
    bmo_speed: float = 0.05
    inspected: bool = False
    """False: hosts are created as available, as they always are without a Baremetal Operator.
    Hundreds of inspections take a small machine a minute."""
    server: bool = True
    """False: two bare clusters."""
    controllers: bool = True
    """False: nothing acts on what tenants write."""
    tenants: tuple[str, ...] = ("a", "b")
    fsync: bool = True
    """False: etcd is faster, but loses data on power loss, which is acceptable for throw-away
    clusters."""
    audit: bool = True
    """False: no audit log. kube-apiserver's own log covers only what the controllers ask about
    secrets."""
    target: bool = False
    """True: a third control plane to move to, with a class that relays the hosts of the first
    tenant's namespace."""
    overlay: str = "base"
    """A folder below manifests, or none. With any other than the base, both programs get the
    arguments of the overlay, except addresses and files."""
    bmo_kind: bool = False
    """True: the management cluster has BMO's own BareMetalHost, too."""
    one_cluster: bool = False
    """True: the hardware is in the management cluster, whose tenants use the gateway."""
    program: Path | None = None
    """What is run as `serve` and `controllers`. None means this version."""

    def __post_init__(self) -> None:
        for tenant in self.tenants:
            if not DNS_LABEL.fullmatch(tenant):
                raise ValueError(f"tenant {tenant!r} cannot be a namespace: use lower case letters, digits and dashes")
        if self.target and not (self.server and self.controllers and self.tenants):
            raise ValueError("--target relays the first tenant's hosts: it needs --server on, --controllers on and a tenant")
        if self.one_cluster and (self.target or not self.server):
            raise ValueError("--one-cluster has the hardware in the management cluster: it needs --server on, and no --target")
        if not 0 <= self.hosts <= 10_000:
            raise ValueError(f"--hosts {self.hosts}: use a number from 0 to 10000")


@dataclass(frozen=True)
class Folder:
    """The files of one cluster."""

    root: Path

    @property
    def description(self) -> Path:
        """Return the list of running parts. It is written last, so it exists only for a complete
        cluster."""
        return self.root / "cluster.json"

    @property
    def pki(self) -> Path:
        """Return the folder of certificates, keys and the processes' own kubeconfigs."""
        return self.root / "pki"

    @property
    def management(self) -> Path:
        """Return the administrator's kubeconfig of the management cluster."""
        return self.root / "management.kubeconfig"

    @property
    def hardware(self) -> Path:
        """Return the administrator's kubeconfig of the hardware cluster."""
        return self.root / "hardware.kubeconfig"

    @property
    def audit(self) -> Path:
        """Return the path of the API server's audit log."""
        return self.root / "logs" / "apiserver-audit.jsonl"

    @property
    def secrets_audit(self) -> Path:
        """Return the path of kube-apiserver's audit log, which has the controllers' requests about
        secrets."""
        return self.root / "logs" / "secrets-audit.jsonl"

    def tenant(self, name: str) -> Path:
        """Return the path of a tenant's kubeconfig of the management cluster."""
        return self.root / f"tenant-{name}.kubeconfig"

    def gateway(self, name: str) -> Path:
        """Return the path of a tenant's kubeconfig of the gateway."""
        return self.root / f"gateway-{name}.kubeconfig"

    def create(self) -> None:
        """Create the folder (readable by its owner only) with its subfolders.

        Raises FileExistsError if it contains a cluster already."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.root.iterdir()):
            raise FileExistsError(
                f"{self.root} is not empty: end what is there with `hack/cluster down`, delete it, or choose another folder"
            )
        for name in ("logs", "pki", "etcd", "data"):
            (self.root / name).mkdir(mode=0o700)
