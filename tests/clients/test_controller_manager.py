"""Run kube-controller-manager on aggregated kinds: garbage collection, namespace deletion and quota
usage, through the aggregator."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.objects import workload
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOAD = "workloads.workload.metal3.io"
BMH = "baremetalhosts.metal3.io"
# The garbage collector and the quota controller discover changed kinds and recount every 30 s.
SLOW = 90

Object = dict[str, Any]


@pytest.fixture
def namespace(cluster: Running, request: pytest.FixtureRequest) -> Iterator[str]:
    """Create a namespace of the test's own, to which no class offers hosts."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    cluster.kubectl(ADMIN, "create", "namespace", name)
    yield name
    cluster.kubectl(ADMIN, "delete", "namespace", name, "--ignore-not-found", "--timeout=90s")


def make(cluster: Running, namespace: str, kind: str, name: str, owner: Object | None = None) -> Object:
    """Create a Workload (which gets no host) or a ConfigMap, owned by `owner`, and return it."""
    obj: Object = workload(name, className="none") if kind == "Workload" else {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    if owner is not None:
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
        obj["metadata"]["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}]
    made: Object = json.loads(cluster.kubectl(ADMIN, "create", "-n", namespace, "-o", "json", "-f", "-", stdin=obj))
    return made


def there(cluster: Running, namespace: str, obj: Object) -> Object | None:
    """Return the object as it is now, or None when it is gone."""
    kind = WORKLOAD if obj["kind"] == "Workload" else "configmap"
    done = cluster.try_kubectl(ADMIN, "get", kind, obj["metadata"]["name"], "-n", namespace, "-o", "json")
    assert done.returncode == 0 or "NotFound" in done.stderr, done.stderr
    return json.loads(done.stdout) if done.returncode == 0 else None


def delete(cluster: Running, namespace: str, obj: Object, cascade: str) -> None:
    """Delete the object without waiting."""
    kind = WORKLOAD if obj["kind"] == "Workload" else "configmap"
    cluster.kubectl(ADMIN, "delete", kind, obj["metadata"]["name"], "-n", namespace, f"--cascade={cascade}", "--wait=false")


@pytest.mark.parametrize("owner_kind", ["Workload", "ConfigMap"])
@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_garbage_collection(cluster: Running, namespace: str, owner_kind: str, cascade: str) -> None:
    """Check between the kinds, in both directions, that an owner's dependents are deleted with it.
    With "orphan" they stay, without the reference."""
    owner = make(cluster, namespace, owner_kind, "owner")
    dependent = make(cluster, namespace, "ConfigMap" if owner_kind == "Workload" else "Workload", "dependent", owner)
    delete(cluster, namespace, owner, cascade)
    eventually(lambda: there(cluster, namespace, owner) is None, seconds=SLOW)
    if cascade == "orphan":
        left = there(cluster, namespace, dependent)
        assert left is not None
        assert "ownerReferences" not in left["metadata"]
    else:
        eventually(lambda: there(cluster, namespace, dependent) is None, seconds=SLOW)


def test_a_dependent_whose_owner_is_gone_is_collected(cluster: Running, namespace: str) -> None:
    gone = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gone", "uid": "0b5d8c1e-2f55-4b76-9d8c-0d6c5f3c1a11"}}
    orphan = make(cluster, namespace, "Workload", "orphan", gone)
    eventually(lambda: there(cluster, namespace, orphan) is None, seconds=SLOW)


def test_quota_usage_is_counted(cluster: Running, namespace: str) -> None:
    count = f"count/{WORKLOAD}"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "machines"}, "spec": {"hard": {count: "5"}}}
    make(cluster, namespace, "Workload", "first")
    cluster.kubectl(ADMIN, "create", "-n", namespace, "-f", "-", stdin=quota)

    def used() -> str | None:
        value: str | None = cluster.get(ADMIN, "resourcequota", "machines", "-n", namespace).get("status", {}).get("used", {}).get(count)
        return value

    eventually(lambda: used() == "1", seconds=SLOW)
    make(cluster, namespace, "Workload", "second")
    eventually(lambda: used() == "2", seconds=SLOW)
    cluster.kubectl(ADMIN, "delete", WORKLOAD, "--all", "-n", namespace)
    eventually(lambda: used() == "0", seconds=SLOW)


def test_a_namespace_with_machines_ends(tenants: Running) -> None:
    """Check that claimed hosts and Workloads of the namespace are released and offered to others.
    What was never claimed is deleted with the namespace."""
    spare = "spare"
    tenants.kubectl(ADMIN, "create", "namespace", spare)
    every = [host["metadata"]["name"] for host in tenants.items("a", BMH)]
    try:
        allow(tenants, ["a", "b", spare])
        eventually(lambda: len(tenants.items(ADMIN, BMH, "-n", spare)) == len(every))
        for number in range(2):
            tenants.kubectl(ADMIN, "create", "-n", spare, "-f", "-", stdin=workload(f"machine-{number}"))
        tenants.kubectl(ADMIN, "wait", WORKLOAD, "--all", "-n", spare, "--for=jsonpath={.status.phase}=Running", "--timeout=90s")
        claim(tenants, spare)
        eventually(lambda: len(tenants.items("b", BMH)) == len(every) - 3)
        tenants.kubectl(ADMIN, "delete", "namespace", spare, "--timeout=120s")
        eventually(lambda: sorted(host["metadata"]["name"] for host in tenants.items("b", BMH)) == sorted(every))
        real = tenants.items(OWNER, BMH, "-n", "metal3")
        assert not [host for host in real if "consumerRef" in host["spec"] or "image" in host["spec"]]
    finally:
        tenants.kubectl(ADMIN, "delete", "namespace", spare, "--ignore-not-found", "--timeout=90s")
        allow(tenants, ["a", "b"])


def allow(cluster: Running, namespaces: list[str]) -> None:
    """Let the class serve exactly these namespaces."""
    patch = {"spec": {"allowedNamespaces": {"names": namespaces}}}
    cluster.kubectl(ADMIN, "patch", "workloadclass", "metal", "--type=merge", "-p", json.dumps(patch))


def claim(cluster: Running, namespace: str) -> None:
    """Claim a free host through the view, as Cluster API does."""
    free = next(host for host in cluster.items(ADMIN, BMH, "-n", namespace) if "consumerRef" not in host["spec"])
    reference = {"apiVersion": "example.com/v1", "kind": "Machine", "name": "m", "namespace": namespace}
    patch = json.dumps({"spec": {"consumerRef": reference}})
    cluster.kubectl(ADMIN, "patch", BMH, free["metadata"]["name"], "-n", namespace, "--type=merge", "-p", patch)
