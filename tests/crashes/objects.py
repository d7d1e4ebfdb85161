"""Create the objects of owners and tenants.

Everything that belongs to the owner and that no tenant may see contains the word CANARY."""

from __future__ import annotations

import base64
from typing import Any

import orjson

Object = dict[str, Any]

CANARY = "canary"
HARDWARE, SYSTEM = "metal3", "metal3-workloads-system"
IMAGE = "http://images.example/os.qcow2"


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def secret(name: str, where: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": where}, "data": encoded}


def kubeconfig(url: str, token: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }


def host(name: str, **labels: str) -> list[Object]:
    """Return a real host as its owner registers it, and its BMC's secret."""
    number = int("".join(c for c in name if c.isdigit()) or 0)
    return [
        secret(f"{name}-canary-bmc", HARDWARE, username="admin", password=f"canary-password-{name}"),
        {
            "apiVersion": "metal3.io/v1alpha1",
            "kind": "BareMetalHost",
            "metadata": {
                "name": name,
                "namespace": HARDWARE,
                "labels": labels,
                "annotations": {"owner.example.com/canary": "canary-rack", "simulator.metal3.io/profile": "small"},
            },
            "spec": {
                "online": False,
                "bootMACAddress": f"52:54:00:00:{number >> 8 & 255:02x}:{number & 255:02x}",
                "bmc": {"address": f"redfish://canary-{name}.example/redfish/v1/1", "credentialsName": f"{name}-canary-bmc"},
            },
        },
    ]


def workload_class(name: str = "metal", *, credentials: str = "hardware", **spec: Any) -> Object:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadClass",
        "metadata": {"name": name},
        "spec": {
            "provisioner": "metal3.io/baremetalhost",
            "parameters": {"namespace": HARDWARE},
            "credentialsSecretRef": {"namespace": SYSTEM, "name": credentials},
            "allowedNamespaces": {"nameMatches": "tenant-.*"},
            "metadata": {"labelsMatch": "size", "annotationsMatch": "size"},
            **spec,
        },
    }


def credentials(config: Object, name: str = "hardware") -> Object:
    return secret(name, SYSTEM, kubeconfig=orjson.dumps(config).decode())


def image(url: str = IMAGE) -> Object:
    return {"url": url, "checksum": "0" * 64, "checksumType": "sha256"}


def workload(name: str, where: str = "tenant-a", **spec: Any) -> Object:
    wanted = {"className": "metal", "image": image(), **spec}
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, "namespace": where},
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


def workload_set(name: str, where: str = "tenant-a", *, url: str = IMAGE, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"className": "metal", "image": image(url)}}
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadSet",
        "metadata": {"name": name, "namespace": where},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def reservation(hosts: int, where: str = "tenant-b") -> Object:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Reservation",
        "metadata": {"name": "launch", "namespace": where},
        "spec": {"className": "metal", "hosts": hosts, "endTime": "2999-01-01T00:00:00Z"},
    }
