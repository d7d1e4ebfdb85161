"""Provide the objects of Cluster API that a move needs: reduced kinds, one cluster's objects, and
the move itself.

The move works as in clusterctl."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.integration.running import Running

Object = dict[str, Any]

INFRASTRUCTURE = "infrastructure.cluster.x-k8s.io"
CLUSTER, MACHINE = "clusters.cluster.x-k8s.io", f"metal3machines.{INFRASTRUCTURE}"
HOST = "metal3.io/BareMetalHost"
READS_MACHINES = {"apiGroups": [INFRASTRUCTURE], "resources": ["metal3machines"], "verbs": ["get", "list", "watch"]}
FINALIZER = f"metal3machine.{INFRASTRUCTURE}"
DELETE_FOR_MOVE = "clusterctl.cluster.x-k8s.io/delete-for-move"
SECRET_TYPE = f"{INFRASTRUCTURE}/secret"


def install(cluster: Running, who: str) -> None:
    """Install the two kinds, with only the schema that a move needs."""
    cluster.kubectl(who, "apply", "-f", "-", stdin=[_crd(CLUSTER, "Cluster", "v1beta2"), _crd(MACHINE, "Metal3Machine", "v1beta1")])
    for kind in (CLUSTER, MACHINE):
        cluster.kubectl(who, "wait", f"crd/{kind}", "--for=condition=Established", "--timeout=60s")


def _crd(name: str, kind: str, version: str) -> Object:
    plural, _, group = name.partition(".")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "labels": {"clusterctl.cluster.x-k8s.io": ""}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def make(cluster: Running, who: str, namespace: str, machine: str, host: str) -> None:
    """Create a Cluster with one Metal3Machine that has a host."""
    spec = {"metadata": {"name": "cluster", "namespace": namespace}, "spec": {"paused": False}}
    cluster.kubectl(who, "create", "-f", "-", stdin={"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", **spec})
    owner = _reference(cluster.get(who, CLUSTER, "cluster", "-n", namespace))
    metadata: Object = {"name": machine, "namespace": namespace, "finalizers": [FINALIZER], "ownerReferences": [owner]}
    metadata["annotations"] = {HOST: f"{namespace}/{host}"}
    made = {"apiVersion": f"{INFRASTRUCTURE}/v1beta1", "kind": "Metal3Machine", "metadata": metadata, "spec": {}}
    cluster.kubectl(who, "create", "-f", "-", stdin=made)


def move(cluster: Running, source: str, target: str, namespace: str, machine: str) -> list[str]:
    """Move the Cluster with all that it owns. Return what was moved.

    The Cluster is paused, created again in the target with new uids, removed from the source
    without any write to the hosts, and resumed."""
    owner = _reference(cluster.get(source, MACHINE, machine, "-n", namespace))
    for name in _secrets(cluster, source, namespace):
        # the provider sets this owner from the beginning
        patch = json.dumps({"metadata": {"ownerReferences": [owner]}})
        cluster.kubectl(source, "patch", "secret", name, "-n", namespace, "--type=merge", "-p", patch)
    _pause(cluster, source, namespace, paused=True)
    moved = [(CLUSTER, "cluster"), (MACHINE, machine), *(("secrets", name) for name in _secrets(cluster, source, namespace))]
    uids: dict[str, str] = {}
    for kind, name in moved:
        old = cluster.get(source, kind, name, "-n", namespace)
        cluster.kubectl(target, "create", "-f", "-", stdin=_recreated(old, uids))
        uids[old["metadata"]["uid"]] = cluster.get(target, kind, name, "-n", namespace)["metadata"]["uid"]
    for kind, name in reversed(moved):
        cluster.kubectl(source, "annotate", kind, name, "-n", namespace, f"{DELETE_FOR_MOVE}=")
        cluster.kubectl(source, "delete", kind, name, "-n", namespace, "--wait=false")
        patch = json.dumps({"metadata": {"finalizers": []}})
        cluster.try_kubectl(source, "patch", kind, name, "-n", namespace, "--type=merge", "-p", patch)
        cluster.kubectl(source, "wait", kind, name, "-n", namespace, "--for=delete", "--timeout=60s")
    _pause(cluster, target, namespace, paused=False)
    return [f"{kind.partition('.')[0]}/{name}" for kind, name in moved]


def _recreated(old: Object, uids: dict[str, str]) -> Object:
    """Return the object as it is created in the target: its owners are those of the target."""
    new = copy.deepcopy(old)
    new.pop("status", None)
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        new["metadata"].pop(field, None)
    for reference in new["metadata"].get("ownerReferences", []):
        reference["uid"] = uids[reference["uid"]]
    return new


def _secrets(cluster: Running, who: str, namespace: str) -> list[str]:
    items = cluster.items(who, "secrets", "-n", namespace, f"--field-selector=type={SECRET_TYPE}")
    return [item["metadata"]["name"] for item in items]


def _pause(cluster: Running, who: str, namespace: str, *, paused: bool) -> None:
    patch = json.dumps({"spec": {"paused": paused}})
    cluster.kubectl(who, "patch", CLUSTER, "cluster", "-n", namespace, "--type=merge", "-p", patch)


def _reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
