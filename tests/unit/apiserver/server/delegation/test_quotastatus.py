"""Check that a quota's status reports the amounts that are stored, also after another client wrote
it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.resourcequota import QuotaConflict, QuotaUnavailable
from apiserver.client.client import Client
from apiserver.client.informer import Informer
from apiserver.client.objects import key_of
from apiserver.registry.generic.context import DeleteOptions
from apiserver.server.delegation.admission import QUOTAS
from apiserver.server.delegation.quotastatus import QuotaStatusWriter
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries, registries, report

if TYPE_CHECKING:
    from apiserver.registry.workload import WorkloadRegistry

__all__ = ["registries"]

HOSTS, METAL = "workload.metal3.io/hosts", "metal.workloadclass.workload.metal3.io/memory"


class Quotas:
    """Hold quotas, as kube-apiserver does, and an informer that has listed them."""

    def __init__(self, *quotas: dict[str, Any]) -> None:
        self.informer = Informer(Client(None), QUOTAS)
        self.quotas, self.conflicts, self.trouble = list(quotas), 0, False
        for one in quotas:
            self.informer._put(key_of(one), copy.deepcopy(one))

    async def get(self, namespace: str, *, live: bool = False) -> list[dict[str, Any]]:
        if self.trouble:
            raise QuotaUnavailable("trouble")
        return [copy.deepcopy(quota) for quota in self.quotas if quota["metadata"]["namespace"] == namespace]

    async def put_status(self, quota: dict[str, Any]) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise QuotaConflict
        assert quota["kind"] == "ResourceQuota"
        [index] = [index for index, one in enumerate(self.quotas) if one["metadata"] == quota["metadata"]]
        self.quotas[index] = quota

    def used(self) -> list[dict[str, str]]:
        return [quota["status"]["used"] for quota in self.quotas]


def quota(name: str, hard: dict[str, str], used: dict[str, str], namespace: str = "tenant-a", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": spec, "status": {"hard": hard, "used": used}}


def writer(quotas: Quotas, registries: Registries) -> QuotaStatusWriter:
    workloads: WorkloadRegistry = registries.catalog.workloads
    return QuotaStatusWriter(quotas.informer, quotas, workloads.claims)


async def test_the_status_follows_what_is_stored(registries: Registries) -> None:
    quotas = Quotas(
        quota("a", {HOSTS: "9", METAL: "1Ti", "pods": "4"}, {HOSTS: "7", "pods": "3"}),
        quota("b", {"pods": "4"}, {"pods": "3"}),
        quota("c", {HOSTS: "9"}, {"pods": "3"}, scopes=["BestEffort"]),
        quota("d", {HOSTS: "9"}, {}, namespace="tenant-b"),
    )
    used = writer(quotas, registries)
    host = await registries.add_host()
    await registries.report(host, {"available": True, "report": report(hardware={"ramMebibytes": 4096, "cpu": {"count": 2}})})
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert await used.write()
    assert quotas.used() == [{HOSTS: "1", METAL: "4Gi", "pods": "3"}, {"pods": "3"}, {"pods": "3"}, {HOSTS: "0"}]
    await registries.workloads.create(CONTEXT, "tenant-b", {"metadata": {"name": "w"}, "spec": {}})
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {}})
    await registries.workloads.delete(CONTEXT, "tenant-a", "w", DeleteOptions())
    assert await used.write()
    assert (quotas.used()[0][HOSTS], quotas.used()[3]) == ("1", {HOSTS: "1"})


async def test_a_quota_that_another_client_has_written_is_written_again(registries: Registries) -> None:
    quotas = Quotas(quota("a", {HOSTS: "9"}, {}))
    quotas.conflicts = 1
    used = writer(quotas, registries)
    assert not await used.write()
    assert await used.write()
    assert quotas.used() == [{HOSTS: "0"}]


async def test_what_cannot_be_read_is_an_error_for_the_log(registries: Registries) -> None:
    quotas = Quotas(quota("a", {HOSTS: "9"}, {}))
    quotas.trouble = True
    with pytest.raises(QuotaUnavailable):
        await writer(quotas, registries).write()
