"""Add virtual machines to a running cluster of `hack/cluster`: kinds, permissions, the simulation,
and the class `vms`.

The owner's cluster gets KubeVirt's kinds in addition to the BareMetalHosts. The management cluster
gets a class that offers two machines to tenants.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.kubevirt.crds import definitions
from hack.realcluster.controlplane import CLIENT_STAGE
from hack.realcluster.manifests import ROOT, SYSTEM_NAMESPACE
from hack.realcluster.processes import Process, Processes

Object = dict[str, Any]

NAMESPACE = "vms"
SECRET = "kubevirt-cluster"
FLAVORS: list[Object] = [
    {
        "name": "vm-small",
        "cpu": 2,
        "memory": "4Gi",
        "disk": "40Gi",
        "capacity": 2,
        "labels": {"hardware.metal3.io/kind": "vm", "hardware.metal3.io/model": "vm-small"},
    },
]


def workload_class(tenants: Iterable[str], flavors: list[Object]) -> Object:
    """Return the class `vms`."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadClass",
        "metadata": {"name": "vms"},
        "spec": {
            "provisioner": "metal3.io/kubevirt",
            "parameters": {"namespace": NAMESPACE, "flavors": flavors},
            "credentialsSecretRef": {"namespace": SYSTEM_NAMESPACE, "name": SECRET},
            "allowedNamespaces": {"names": list(tenants)},
        },
    }


@dataclass(frozen=True)
class Machines:
    """Virtual machines for the cluster in `root`, with kubectl from `tools`."""

    root: Path
    tools: Path

    def install(self, tenants: Iterable[str], flavors: list[Object] | None = None) -> Process:
        """Create everything. Return the simulation's process, which `hack/cluster down` ends as
        well."""
        owner, admin = self.root / "hardware.kubeconfig", self.root / "management.kubeconfig"
        crds = definitions()
        self.kubectl(owner, "apply", "--server-side", "-f", "-", stdin=crds)
        self.kubectl(owner, "wait", "--for=condition=Established", *(f"crd/{crd['metadata']['name']}" for crd in crds))
        self.kubectl(
            owner, "apply", "--server-side", "-f", "-", stdin=[{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
        )
        self.kubectl(owner, "apply", "--server-side", "-k", str(ROOT / "manifests" / "kubevirt"))
        self.put_credentials(self.kubeconfig())
        self.kubectl(admin, "create", "-f", "-", stdin=[workload_class(tenants, flavors if flavors is not None else FLAVORS)])
        return self.simulate()

    def simulate(self) -> Process:
        """Start the simulation of KubeVirt's controllers."""
        config = self.root / "hardware.kubeconfig"
        argv: list[str | Path] = [ROOT / "hack" / "simulate-kubevirt", "--kubeconfig", config, "--namespace", NAMESPACE]
        return Processes(self.root).start("simulated-kubevirt", argv, stage=CLIENT_STAGE)

    def kubeconfig(self) -> str:
        """Return a kubeconfig with the permissions of manifests/kubevirt."""
        config = json.loads((self.root / "hardware.kubeconfig").read_text())
        token = self.kubectl(self.root / "hardware.kubeconfig", "create", "token", "metal3-workloads", "-n", NAMESPACE, "--duration=24h")
        for user in config["users"]:
            user["user"] = {"token": token.strip()}
        return json.dumps(config)

    def put_credentials(self, kubeconfig: str) -> None:
        """Put the kubeconfig into the class's secret."""
        metadata = {"name": SECRET, "namespace": SYSTEM_NAMESPACE}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"kubeconfig": kubeconfig}}
        self.kubectl(self.root / "management.kubeconfig", "apply", "-f", "-", stdin=[secret])

    def kubectl(self, kubeconfig: Path, *arguments: str, stdin: list[Object] | None = None) -> str:
        """Return the output of kubectl. Raises RuntimeError with its error output if it fails."""
        text = None if stdin is None else json.dumps({"apiVersion": "v1", "kind": "List", "items": stdin})
        argv = [str(self.tools / "kubectl"), "--kubeconfig", str(kubeconfig), *arguments]
        cache = {"KUBECACHEDIR": str(self.root / "kubectl-cache"), "HOME": str(self.root)}
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=120, env=cache)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout
