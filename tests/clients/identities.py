"""Create service accounts of a tenant, as its own controllers use them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.running import ADMIN

if TYPE_CHECKING:
    from tests.integration.running import Running

RBAC = "rbac.authorization.k8s.io"
# In its own namespace, it has a tenant's permissions. In all namespaces, it may only read the
# hosts, as Cluster API's Metal3 provider must.
WATCHES_HOSTS = [{"apiGroups": ["metal3.io"], "resources": ["baremetalhosts"], "verbs": ["get", "list", "watch"]}]


def service_account(cluster: Running, tenant: str, name: str, *, everywhere: list[dict[str, Any]], at: str = ADMIN) -> Path:
    """Create a service account in a tenant's namespace. Return the path of its kubeconfig.

    It has the tenant's permissions there, and `everywhere` in the whole cluster. `at`: the
    administrator of its cluster. Calling this again has no effect."""
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
