"""Read the project's manifests as objects, and adapt them to a server that runs as a process beside
the cluster."""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from hack.realcluster.client import Object
from hack.realcluster.processes import ProcessError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
NOTHING = "none"
SYSTEM_NAMESPACE = "metal3-workloads-system"
SERVICE = "metal3-workloads-apiserver"
NOT_THE_OWNERS = r"(?!(owner\.example\.com|simulator\.metal3\.io)/).*"
# A bare cluster runs no pods, so it gets no objects for pods.
ONLY_IN_CLUSTER = ("CronJob", "Deployment", "NetworkPolicy", "PersistentVolumeClaim")

RESOURCES = {
    "APIService": ("apis/apiregistration.k8s.io/v1", "apiservices"),
    "BareMetalHost": ("apis/metal3.io/v1alpha1", "baremetalhosts"),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Namespace": ("api/v1", "namespaces"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "WorkloadClass": ("apis/workload.metal3.io/v1alpha1", "workloadclasses"),
}


def path_of(obj: Object) -> str:
    """Return the request path of an object of one of the kinds in RESOURCES.

    The path has a namespace exactly if the object's metadata names one."""
    base, resource = RESOURCES[obj["kind"]]
    metadata = obj["metadata"]
    middle = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"/{base}/{middle}{resource}/{metadata['name']}"


def with_paths(objects: Iterable[Object]) -> list[tuple[str, Object]]:
    """Return each object with its request path."""
    return [(path_of(obj), obj) for obj in objects]


def load(file: Path) -> list[Object]:
    """Return the objects of a YAML file."""
    return list(yaml.safe_load_all(file.read_text()))


async def kustomize(kubectl: Path, folder: Path) -> list[Object]:
    """Return the objects that `kubectl kustomize` builds from a folder."""
    process = await asyncio.create_subprocess_exec(
        str(kubectl), "kustomize", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise ProcessError(f"kubectl kustomize {folder} failed: {errors.decode(errors='replace').strip()}")
    return list(yaml.safe_load_all(output))


async def overlay(kubectl: Path, name: str) -> list[Object]:
    """Return the objects of a folder of manifests; an empty list for NOTHING."""
    return [] if name == NOTHING else await kustomize(kubectl, ROOT / "manifests" / name)


def out_of_cluster(objects: Iterable[Object], *, port: int, ca: bytes) -> list[Object]:
    """Return the base manifests for a server on `localhost:port`.

    `ca` signs the server's certificate (for the Service's in-cluster name)."""
    return [_beside_the_cluster(obj, port, ca) for obj in objects if obj["kind"] not in ONLY_IN_CLUSTER]


def _beside_the_cluster(obj: Object, port: int, ca: bytes) -> Object:
    obj = copy.deepcopy(obj)
    if obj["kind"] == "Service":
        obj["spec"] = {"type": "ExternalName", "externalName": "localhost"}
    if obj["kind"] == "APIService":
        obj["spec"]["service"]["port"] = port
        obj["spec"]["caBundle"] = base64.b64encode(ca).decode("ascii")
    return obj


def arguments(objects: Iterable[Object], deployment: str, own: Iterable[str]) -> list[str]:
    """Return the arguments of a Deployment after its program's command, without the flags in `own`.

    Those flags are for addresses and files."""
    (found,) = (obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) == ("Deployment", deployment))
    _, *given = found["spec"]["template"]["spec"]["containers"][0]["args"]
    return [argument for argument in given if argument.partition("=")[0] not in set(own)]


def for_tenant(objects: Iterable[Object], tenant: str) -> list[Object]:
    """Return the tenant manifests with the namespace `tenant` and the user `tenant-<tenant>` in
    place of the placeholders."""
    return [_of_tenant(obj, tenant) for obj in objects]


def _of_tenant(obj: Object, tenant: str) -> Object:
    obj = copy.deepcopy(obj)
    metadata: dict[str, Any] = obj["metadata"]
    if "namespace" in metadata:
        metadata["namespace"] = tenant
    if obj["kind"] == "Namespace":
        metadata["name"] = tenant
    if obj["kind"] == "ClusterRoleBinding":
        metadata["name"] = f"{metadata['name'].removesuffix(':tenant')}:{tenant}"
    users = [subject for subject in obj.get("subjects", []) if subject["kind"] == "User"]
    for subject in users:
        subject["name"] = f"tenant-{tenant}"
        # The account with which the tenant uses the gateway.
        obj["subjects"].append({"kind": "ServiceAccount", "name": "tenant", "namespace": tenant})
    return obj


def metal_class(tenants: Iterable[str]) -> Object:
    """Return the default WorkloadClass `metal`: the hardware cluster's hosts, for all tenants."""
    return _class("metal", "metal3.io/baremetalhost", {"namespace": "metal3"}, tenants)


def relay_class(tenant: str) -> Object:
    """Return the default WorkloadClass `relay` of the target cluster.

    It offers what the tenant has in the management cluster to its namespace here."""
    return _class("relay", "metal3.io/relay", {"namespace": tenant, "identity": "target"}, [tenant])


def _class(name: str, provisioner: str, parameters: Object, tenants: Iterable[str]) -> Object:
    spec = {
        "provisioner": provisioner,
        "parameters": parameters,
        "credentialsSecretRef": {"namespace": SYSTEM_NAMESPACE, "name": f"{name}-credentials"},
        "allowedNamespaces": {"names": list(tenants)},
        # Everything except what has the owner's own prefixes.
        "metadata": {"labelsMatch": NOT_THE_OWNERS, "annotationsMatch": NOT_THE_OWNERS},
    }
    metadata = {"name": name, "annotations": {"workloadclass.workload.metal3.io/is-default-class": "true"}}
    return {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadClass", "metadata": metadata, "spec": spec}
