"""Simulate another metal3-workloads in memory: one namespace's views, which claim, provision and
release at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from controllers.providers.relay import RelayProvider
from controllers.providers.testing import SourceHarness
from tests.unit.controllers.clusters import BMH, SECRETS, WORKLOADS, HastyBMO, bmh
from tests.unit.controllers.fakeapi import Address, Failure, FakeApi

if TYPE_CHECKING:
    from aiohttp import web

Object = dict[str, Any]

NAMESPACE = "metal3"
"""The namespace that HastyBMO uses."""


def view(name: str, *, uid: str | None = None, **spec: Any) -> Object:
    """Return a free host as the other server shows it."""
    made = bmh(name, **spec)
    made["metadata"]["annotations"] = {}
    made["spec"]["bmc"] = {"address": "", "credentialsName": ""}
    made["status"].pop("goodCredentials")
    made["status"]["provisioning"]["ID"] = f"id-of-{name}"
    for nic in made["status"]["hardware"]["nics"]:
        nic.pop("lldp")
    if uid:
        made["metadata"]["uid"] = uid
    return made


async def deleted(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object | None:
    """Handle DELETE of a view: release what is claimed, and never remove the host for good."""
    current = api.find(BMH, address[2], NAMESPACE)
    if current is None:
        raise Failure(404, "NotFound", name=address[2])
    wanted = body.get("preconditions") or {}
    if any(current["metadata"][key] != value for key, value in wanted.items()):
        raise Failure(409, "Conflict", name=address[2])
    return api.edit(BMH, address[2], {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["test"]}}, NAMESPACE)


async def patched(api: FakeApi, request: web.Request, address: Address, body: Object) -> Object | None:
    """Handle PATCH of a view: a free view accepts only a claim."""
    current = api.find(BMH, address[2], NAMESPACE)
    if current is not None and not current["spec"].get("consumerRef") and not body.get("spec", {}).get("consumerRef"):
        raise Failure(422, "Invalid", "the host is free: set spec.consumerRef to claim it")
    return None


class HastyServer(HastyBMO):
    """Provisions as HastyBMO does, and offers the cleaned hosts of deleted views again."""

    def _step(self, host: Object) -> None:
        if not host["metadata"].get("deletionTimestamp"):
            super()._step(host)
            return
        name, uid = host["metadata"]["name"], host["metadata"]["uid"]
        self.api.remove(BMH, name, NAMESPACE)
        self.api.put(BMH, view(name, uid=uid))


class Upstream(SourceHarness):
    """A namespace of another metal3-workloads, with its tenant's credentials."""

    provider = RelayProvider
    spec = {  # noqa: RUF012 - read only, as in every harness
        "provisioner": "metal3.io/relay",
        "parameters": {"namespace": NAMESPACE},
        "metadata": {"labelsMatch": ".*", "annotationsMatch": ".*"},
    }

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        api.hooks = {"DELETE baremetalhosts": deleted, "PATCH baremetalhosts": patched}
        self.credentials = {"kubeconfig": orjson.dumps(api.kubeconfig)}
        self.add_host("h1")

    def add_host(self, name: str) -> None:
        self.api.put(BMH, view(name))

    def remove_host(self, name: str) -> None:
        self.api.remove(BMH, name, NAMESPACE)

    def take_host(self, name: str, consumer: str = "stranger") -> None:
        self.api.edit(BMH, name, {"spec": {"consumerRef": machine(consumer)}}, NAMESPACE)

    def get(self, name: str = "h1") -> Object:
        return self.api.get(BMH, name, NAMESPACE)

    def runs(self, name: str) -> str | None:
        image = self.get(name)["status"]["provisioning"].get("image")
        return str(image["url"]) if image else None

    def leftovers(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.api.all(SECRETS)]

    def go_away(self) -> None:
        self.api.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
        self.api.cut_watches()

    def come_back(self) -> None:
        self.api.fail = lambda verb, path: None

    def workload_of(self, name: str) -> Object:
        """Create a Workload there that has the host."""
        made = {
            "metadata": {"name": f"of-{name}", "namespace": NAMESPACE},
            "spec": {},
            "status": {"host": {"uid": self.get(name)["metadata"]["uid"]}},
        }
        return self.api.put(WORKLOADS, made)


def machine(name: str) -> Object:
    """Return a consumerRef as CAPM3 writes it."""
    return {"kind": "Metal3Machine", "name": name, "namespace": NAMESPACE, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}


async def serve(upstream: Upstream) -> None:
    """Act as the other server until cancelled."""
    await HastyServer(upstream.api).run()


def serving(upstream: Upstream) -> asyncio.Task[None]:
    return asyncio.ensure_future(serve(upstream))
