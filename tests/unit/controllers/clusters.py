"""Simulate two clusters in memory: management (with the claims of the real server) and hardware
(with an immediate BMO)."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from apiserver.apis.host import host_name
from apiserver.client.client import Client
from apiserver.registry.generic.patch import merge_patch
from controllers.run import compose
from tests.unit.controllers.claiming import bind, offer, patch_host, prepare, report
from tests.unit.controllers.fakeapi import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controllers.workloadclass.providers import Sources

Object = dict[str, Any]

BMH = "apis/metal3.io/v1alpha1/baremetalhosts"
VIEWS = BMH
SECRETS = "api/v1/secrets"
NAMESPACES = "api/v1/namespaces"
EVENTS = "api/v1/events"
WORKLOADS = "apis/workload.metal3.io/v1alpha1/workloads"
CLASSES = "apis/workload.metal3.io/v1alpha1/workloadclasses"
HOSTS = "apis/workload.metal3.io/v1alpha1/hosts"
FINALIZER = "workload.metal3.io/release"
CANARY = "canary"


def secret(name: str, namespace: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": encoded}


def bmh(name: str, *, cpus: int = 16, ram_gib: int = 64, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """Return an available BareMetalHost with many values that no tenant may see."""
    return {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": {
            "name": name,
            "namespace": "metal3",
            "labels": {"size": "m", **(labels or {})},
            "annotations": {"inspect.metal3.io/hardwaredetails": "canary-inspect", "owner/rack": "r1"},
        },
        "spec": {
            "online": False,
            "bootMACAddress": "00:11:22:33:44:55",
            "bmc": {"address": f"redfish://canary-bmc-{name}:443/redfish/v1", "credentialsName": f"canary-cred-{name}"},
            **spec,
        },
        "status": {
            "operationalStatus": "OK",
            "errorMessage": "",
            "errorCount": 0,
            "poweredOn": False,
            "provisioning": {"state": "available", "ID": "canary-node-id"},
            "goodCredentials": {"credentials": {"name": f"canary-cred-{name}", "namespace": "metal3"}},
            "hardware": {
                "cpu": {"arch": "x86_64", "count": cpus},
                "ramMebibytes": ram_gib * 1024,
                "hostname": name,
                "storage": [{"name": "/dev/sda", "sizeBytes": 2**40}],
                "nics": [
                    {"name": "eth0", "mac": "00:11:22:33:44:55", "ip": "172.22.0.7", "lldp": {"switchSystemName": "canary-switch"}},
                ],
            },
        },
    }


def workload(name: str, namespace: str = "team-a", **spec: Any) -> Object:
    defaults = {"className": "metal", "online": True, "image": {"url": "http://images.example/os.qcow2", "checksum": "abc"}}
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {key: value for key, value in {**defaults, **spec}.items() if value is not None},
    }


def workload_class(**spec: Any) -> Object:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadClass",
        "metadata": {"name": "metal"},
        "spec": {
            "provisioner": "metal3.io/baremetalhost",
            "parameters": {"namespace": "metal3"},
            "credentialsSecretRef": {"namespace": "system", "name": "hardware"},
            "allowedNamespaces": {"names": ["*"]},
            "metadata": {"labelsMatch": ".*", "annotationsMatch": ".*"},
            **spec,
        },
    }


def host(name: str, *, claim: str = "", available: bool = True, reason: str = "") -> Object:
    """Return a Host as its controller keeps it, which is free by default."""
    spec: Object = {"className": "metal", "source": {"name": name, "uid": name}}
    if claim:
        spec["claimRef"] = {"namespace": "a", "name": claim, "uid": claim}
    status = {"available": available, "reason": reason, "report": {"spec": {}, "status": bmh(name)["status"]}}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


class HastyBMO:
    """A BMO that acts at once instead of in minutes. `hold` stops it; `log` lists the images that
    were written to hosts."""

    def __init__(self, api: FakeApi) -> None:
        self.api, self.hold = api, False
        self.log: list[tuple[str, str]] = []

    async def run(self) -> None:
        while True:
            changed = self.api._changed
            if not self.hold:
                for host in self.api.all(BMH):
                    self._step(host)
            await changed.wait()

    def _step(self, host: Object) -> None:
        spec, provisioning = host["spec"], host["status"]["provisioning"]
        image = spec.get("image")
        if host["status"].get("errorMessage"):
            return
        if image and spec["online"] and provisioning["state"] == "available":
            for field in ("userData", "networkData", "metaData"):
                if field in spec:
                    assert self.api.find(SECRETS, spec[field]["name"], "metal3") is not None, "BMO would fail: no such secret"
            self.log.append((host["metadata"]["name"], image["url"]))
            self._status(host, {"provisioning": {"state": "provisioned", "image": image}})
        elif provisioning["state"] == "provisioned" and (not image or image["url"] != provisioning["image"]["url"]):
            self._status(host, {"provisioning": {"state": "available", "image": None}})
        elif host["status"]["poweredOn"] != spec["online"]:
            self._status(host, {"poweredOn": spec["online"]})

    def _status(self, host: Object, status: Object) -> None:
        self.api.edit(BMH, host["metadata"]["name"], {"status": status}, "metal3")


@dataclass
class TwoClusters:
    """Both clusters, running."""

    management: FakeApi
    hardware: FakeApi
    bmo: HastyBMO
    sources: Sources | None = None

    def workload(self, name: str, namespace: str = "team-a") -> Object:
        return self.management.get(WORKLOADS, name, namespace)

    def condition(self, name: str, type_: str, namespace: str = "team-a") -> Object:
        conditions = (self.workload(name, namespace).get("status") or {}).get("conditions") or []
        return next((item for item in conditions if item["type"] == type_), {"status": "", "reason": "", "message": ""})

    def phase(self, name: str, namespace: str = "team-a") -> str:
        return str((self.workload(name, namespace).get("status") or {}).get("phase"))

    def host(self, name: str) -> Object:
        return self.hardware.get(BMH, name, "metal3")

    def host_object(self, name: str) -> str:
        """Return the name of the Host object of a real host."""
        return host_name(self.host(name)["metadata"]["uid"])

    def claimed(self, name: str, namespace: str = "team-a") -> str:
        """Return the real host that the Workload has."""
        found = (host["spec"] for host in self.management.all(HOSTS) if host["spec"].get("claimRef"))
        return next(
            str(spec["source"]["name"]) for spec in found if (spec["claimRef"]["name"], spec["claimRef"]["namespace"]) == (name, namespace)
        )

    def request_deletion(self, name: str, namespace: str = "team-a") -> None:
        current = self.workload(name, namespace)
        metadata = {**current["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
        self.management.put(WORKLOADS, merge_patch(current, {"metadata": metadata}))

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.management.all(EVENTS)]


@asynccontextmanager
async def two_clusters() -> AsyncIterator[TwoClusters]:
    """Yield both clusters with a class and a namespace, without controllers."""
    prepare()
    async with FakeApi().serving() as management, FakeApi().serving() as hardware:
        management.hooks = {
            "POST workloads/binding": bind,
            "PUT hosts/offers": offer,
            "PATCH hosts": patch_host,
            "PATCH hosts/status": report,
        }
        for name in ("team-a", "team-b"):
            management.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}})
        management.put(SECRETS, secret("hardware", "system", kubeconfig=yaml.safe_dump(hardware.kubeconfig)))
        management.put(CLASSES, workload_class())
        bmo = HastyBMO(hardware)
        task = asyncio.ensure_future(bmo.run())
        try:
            yield TwoClusters(management, hardware, bmo)
        finally:
            task.cancel()
            results = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError), results[0]


@asynccontextmanager
async def controllers(clusters: TwoClusters, **options: Any) -> AsyncIterator[None]:
    """Run all controllers. `options` are those of `compose`."""
    async with Client(clusters.management.kubeconfig) as client:
        manager, _, clusters.sources = compose(client, **options)
        task = asyncio.ensure_future(manager.run())
        try:
            await asyncio.wait_for(manager.started.wait(), 60)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await clusters.sources.close()
