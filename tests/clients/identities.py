"""Service accounts of a tenant, as its own controllers run under."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.running import ADMIN

if TYPE_CHECKING:
    from tests.integration.running import Running

RBAC = "rbac.authorization.k8s.io"
# Its own namespace's rights are a tenant's; of all namespaces it may only see the hosts, as Cluster
# API's Metal3 provider has to.
WATCHES_HOSTS = [{"apiGroups": ["metal3.io"], "resources": ["baremetalhosts"], "verbs": ["get", "list", "watch"]}]


def service_account(cluster: Running, tenant: str, name: str, *, everywhere: list[dict[str, Any]], at: str = ADMIN) -> Path:
    """Make a service account in a tenant's namespace with the tenant's rights there and
    `everywhere` in the whole cluster; returns the path of its kubeconfig. `at`: the administrator
    of the cluster that it is for. May be called again."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": tenant}
    full = f"{tenant}-{name}"
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": tenant}},
        _binding("RoleBinding", {"name": name, "namespace": tenant}, "ClusterRole", "metal3-workloads-tenant", subject),
        _binding("RoleBinding", {"name": f"{name}-secrets", "namespace": tenant}, "Role", "metal3-workloads-tenant", subject),
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": full}, "rules": everywhere},
        _binding("ClusterRoleBinding", {"name": full}, "ClusterRole", full, subject),
    ]
    cluster.kubectl(at, "apply", "-f", "-", stdin=objects)
    token = cluster.kubectl(at, "create", "token", name, f"--namespace={tenant}", "--duration=2h").strip()
    config = copy.deepcopy(json.loads(Path(cluster.kubeconfig(at)).read_text()))
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = tenant
    path = cluster.root / f"{at}-{full}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def _binding(kind: str, metadata: dict[str, str], role_kind: str, role: str, subject: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": RBAC, "kind": role_kind, "name": role}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [subject]}
