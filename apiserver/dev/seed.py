"""Create the objects of the first start: namespaces, a class, and hosts with their BMC secrets.

Each object is created only once. A ConfigMap records the created objects, so that an object that
the user has deleted is not created again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from apiserver.apis.names import DEFAULT_CLASS_ANNOTATION
from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.registry import Registry

Object = dict[str, Any]

TENANTS = ("tenant-a", "tenant-b")
HARDWARE_NAMESPACE = "metal3"
SYSTEM_NAMESPACE = "metal3-workloads-system"
CREDENTIALS = "hardware-cluster"
CLASS = "metal"
PROFILES = ("small", "medium", "large", "gpu")
RACKS = 2
NOTE = "metal3-workloads-dev-seed"
AT_ONCE = 32


def management(kubeconfig: Object) -> list[Object]:
    """Return the objects of the management endpoint: namespaces, the class and its credentials.

    The credentials are a kubeconfig for the hardware endpoint."""
    namespaces = [_namespace(name) for name in ("default", "kube-system", SYSTEM_NAMESPACE, *TENANTS)]
    return [*namespaces, _credentials(kubeconfig), _class()]


def hardware(hosts: int) -> list[Object]:
    """Return the objects of the hardware endpoint: namespaces and `hosts` hosts with BMC
    secrets."""
    namespaces = [_namespace(name) for name in ("default", "kube-system", HARDWARE_NAMESPACE)]
    return [*namespaces, *(obj for number in range(hosts) for obj in (_bmc_secret(number), _host(number)))]


async def create_missing(objects: Sequence[Object], registries: Mapping[str, Registry], notes: Registry) -> int:
    """Create the objects that were never created before and do not exist. Return how many.

    `registries` are by kind; `notes` is the registry of ConfigMaps."""
    noted = _noted(notes)
    fresh = [obj for obj in objects if _key(obj) not in noted]
    # Create namespaces first, because the other objects need them.
    made = 0
    for stage in (True, False):
        batch = [obj for obj in fresh if (obj["kind"] == "Namespace") is stage]
        for start in range(0, len(batch), AT_ONCE):
            made += sum(await asyncio.gather(*(_create(registries[obj["kind"]], obj) for obj in batch[start : start + AT_ONCE])))
    if fresh:
        await _note(notes, noted | {_key(obj) for obj in fresh})
    return made


async def refresh_credentials(secrets: Registry, kubeconfig: Object) -> None:
    """Update the class's credentials, because ports and certificates may have changed.

    Credentials that the owner has replaced are not changed."""
    entry = secrets.find(SYSTEM_NAMESPACE, CREDENTIALS)
    if entry is None or (entry.object()["metadata"].get("annotations") or {}).get(NOTE) != "true":
        return
    data = _credentials(kubeconfig)["data"]
    await secrets.update(_context(), SYSTEM_NAMESPACE, CREDENTIALS, lambda obj: {**obj, "data": {**(obj.get("data") or {}), **data}})


async def _create(registry: Registry, obj: Object) -> bool:
    try:
        await registry.create(_context(), obj["metadata"].get("namespace", ""), obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return False
    return True


def _noted(notes: Registry) -> set[str]:
    entry = notes.find("kube-system", NOTE)
    return set((entry.object().get("data") or {}).get("objects", "").split()) if entry else set()


async def _note(notes: Registry, keys: set[str]) -> None:
    data = {"objects": "\n".join(sorted(keys))}
    if notes.find("kube-system", NOTE) is None:
        metadata = {"name": NOTE, "namespace": "kube-system"}
        await notes.create(_context(), "kube-system", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    else:
        await notes.update(_context(), "kube-system", NOTE, lambda obj: {**obj, "data": data})


def _key(obj: Object) -> str:
    return f"{obj['kind']}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _context() -> Context:
    return Context(UserInfo("system:metal3-workloads:dev"), field_manager="metal3-workloads-dev")


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _credentials(kubeconfig: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CREDENTIALS, "namespace": SYSTEM_NAMESPACE, "annotations": {NOTE: "true"}},
        "data": {"kubeconfig": base64.b64encode(orjson.dumps(kubeconfig)).decode()},
    }


def _class() -> Object:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadClass",
        "metadata": {"name": CLASS, "annotations": {DEFAULT_CLASS_ANNOTATION: "true"}},
        "spec": {
            "provisioner": "metal3.io/baremetalhost",
            "parameters": {"namespace": HARDWARE_NAMESPACE},
            "credentialsSecretRef": {"namespace": SYSTEM_NAMESPACE, "name": CREDENTIALS},
            "allowedNamespaces": {"nameMatches": "tenant-.*"},
            "metadata": {"labelsMatch": "size|nvidia\\.com/gpu|infrastructure\\.cluster\\.x-k8s\\.io/failure-domain"},
        },
    }


def _bmc_secret(number: int) -> Object:
    password = hashlib.sha256(f"host-{number} BMC".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"host-{number}-bmc", "namespace": HARDWARE_NAMESPACE},
        "stringData": {"username": "bmc-admin", "password": password},
    }


def _host(number: int) -> Object:
    size = PROFILES[number % len(PROFILES)]
    rack = (number + number // len(PROFILES)) % RACKS + 1  # neighbours differ, and each rack has every size
    labels = {"size": size, "infrastructure.cluster.x-k8s.io/failure-domain": f"rack-{rack}"}
    if size == "gpu":
        labels["nvidia.com/gpu"] = "8"
    annotations = {"simulator.metal3.io/profile": size, "owner.example.com/asset-tag": f"AT-{1000 + number}"}
    address = f"redfish-virtualmedia+https://192.0.2.{number % 250 + 1}/redfish/v1/Systems/{number // 250 + 1}"
    mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    return {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": {"name": f"host-{number}", "namespace": HARDWARE_NAMESPACE, "labels": labels, "annotations": annotations},
        "spec": {
            "online": False,
            "bootMACAddress": mac,
            "bmc": {"address": address, "credentialsName": f"host-{number}-bmc"},
        },
    }
