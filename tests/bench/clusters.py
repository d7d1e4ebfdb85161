"""Serve the same kind in three ways: by kube-apiserver as a CRD, by this server directly, and by
this server through kube-apiserver."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from apiserver.registry.generic.schema import structural_schema
from apiserver.registry.workload import WORKLOADS
from tests.bench.target import Files, Target
from tests.bench.work import NAMESPACES, namespace

if TYPE_CHECKING:
    from tests.integration.running import Running

GROUP = "bench.example.com"
OPTIONS = ("--controllers", "off", "--bmo", "none", "--hosts", "0", "--tenants", "bench", "--audit", "off")
"""The options of `hack/cluster up`: the API servers alone, without audit logs on either side."""


def prepare(running: Running) -> None:
    """Create the CRD and the namespaces."""
    running.kubectl("management", "apply", "-f", "-", stdin=definition())
    running.kubectl("management", "wait", "--for=condition=Established", f"crd/{WORKLOADS.plural}.{GROUP}", "--timeout=60s")
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(number)}} for number in range(NAMESPACES)]
    running.kubectl("management", "apply", "-f", "-", stdin=spaces)


def definition() -> dict[str, Any]:
    """Return the same kind as a CRD of another group."""
    names = {"kind": WORKLOADS.kind, "listKind": f"{WORKLOADS.kind}List", "plural": WORKLOADS.plural, "singular": WORKLOADS.singular}
    columns = [
        {"name": column.name, "type": column.type, "jsonPath": "." + column.path, "priority": column.priority}
        for column in WORKLOADS.columns
        if "(" not in column.path
    ]
    version = {
        "name": WORKLOADS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": structural_schema(WORKLOADS)},
        "additionalPrinterColumns": columns,
    }
    spec = {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]}
    metadata = {"name": f"{WORKLOADS.plural}.{GROUP}"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def targets(running: Running, folder: Path) -> tuple[Target, Target, Target]:
    """Return kube-apiserver with the CRD, this server directly, and this server through
    kube-apiserver.

    Keys are written to `folder`."""
    description = running.description
    management, own = description["management"], description["apiserver"]
    admin = yaml.safe_load(Path(management["kubeconfig"]).read_text())
    cluster, user = admin["clusters"][0]["cluster"], admin["users"][0]["user"]
    kube = Files(
        _file(folder, "ca", cluster["certificate-authority-data"]),
        _file(folder, "crt", user["client-certificate-data"]),
        _file(folder, "key", user["client-key-data"]),
    )
    ours = f"/apis/{WORKLOADS.group}/{WORKLOADS.version}"
    oracle_pids, both = [management["pid"], *description["etcd"]["pids"]], [*own["pids"], management["pid"]]
    return (
        Target("kube-apiserver", f"{management['server']}/apis/{GROUP}/{WORKLOADS.version}", GROUP, oracle_pids, kube),
        Target("direct", own["url"] + ours, WORKLOADS.group, own["pids"], Files(own["ca"], own["clientCert"], own["clientKey"])),
        Target("aggregated", management["server"] + ours, WORKLOADS.group, both, kube),
    )


def _file(folder: Path, kind: str, encoded: str) -> str:
    path = folder / f"admin.{kind}"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(encoded))
    return str(path)
