"""Check that the registries of the management side ask admission also for writes that are not plain
creations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.resourcequota import ResourceQuota
from apiserver.apis.host import host_name
from apiserver.apis.status import ApiError, forbidden
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.context import Context, UserInfo
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.registry.conftest import CONSUMER, Registries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from apiserver.registry.generic.attributes import Attributes

COUNTED = "count/workloads.workload.metal3.io"


class Quotas:
    """Hold one quota in tenant-a."""

    def __init__(self, hard: int) -> None:
        self.hard, self.used = hard, 0

    async def get(self, namespace: str, *, live: bool = False) -> list[dict[str, Any]]:
        status = {"hard": {COUNTED: str(self.hard)}, "used": {COUNTED: str(self.used)}}
        metadata = {"name": "q", "namespace": namespace, "resourceVersion": "1"}
        return [{"metadata": metadata, "spec": {}, "status": status}] if namespace == "tenant-a" else []

    async def put_status(self, quota: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.used = int(quota["status"]["used"][COUNTED])


class Recording:
    """Note each admission request, refuse those in `refused`, and leave the others to a quota's
    admission."""

    def __init__(self, quota: ResourceQuota) -> None:
        self.quota, self.asked, self.refused = quota, list[tuple[str, str, str]](), set[tuple[str, str, str]]()

    async def admit(self, attributes: Attributes) -> Any:
        resource = attributes.resource
        asked = (attributes.operation, resource.plural, attributes.subresource)
        self.asked.append(asked)
        if asked in self.refused:
            raise forbidden(resource.group, resource.plural, attributes.name, "not now")
        return await self.quota.admit(attributes)


class Admitted(Registries):
    """Put the registries behind a quota of two."""

    admission: Recording
    quotas: Quotas


@pytest.fixture
async def registries(tmp_path: Path) -> AsyncIterator[Admitted]:
    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off"))
    quotas = Quotas(2)
    quota = ResourceQuota(quotas, lambda resource, namespace: [entry.name for entry in catalog.workloads.collection.range() if namespace])
    catalog = management_catalog(cache, admission=Recording(quota))
    await cache.start()
    made = Admitted(catalog)
    assert isinstance(catalog.workloads.admission, Recording)
    made.admission, made.quotas = catalog.workloads.admission, quotas
    for index in range(5):
        await made.add_host(f"node-{index}")
    made.admission.asked.clear()
    yield made
    await quota.close()
    await cache.close()


async def claim(registries: Registries, name: str) -> int:
    try:
        await registries.patch_view("tenant-a", name, Context(UserInfo("u")), consumerRef=CONSUMER)
    except ApiError as error:
        return error.code
    return 200


async def settled(registries: Admitted) -> None:
    for group in registries.admission.quota._groups.values():
        if group._task is not None:
            await group._task


async def test_claims_are_counted_as_the_workloads_that_they_make(registries: Admitted) -> None:
    codes = await asyncio.gather(*(claim(registries, f"node-{index}") for index in range(5)))
    await settled(registries)
    assert sorted(codes) == [200, 200, 403, 403, 403]
    assert (len(registries.workloads.collection), registries.quotas.used) == (2, 2)


async def test_a_claim_that_loses_its_host_is_not_charged(registries: Admitted) -> None:
    codes = await asyncio.gather(*(claim(registries, "node-0") for _ in range(2)))
    await settled(registries)
    assert sorted(codes) in ([200, 200], [200, 409]), "the second one may find its own consumer there"
    assert (len(registries.workloads.collection), registries.quotas.used) == (1, 1)


async def test_a_creation_that_fails_is_given_back(registries: Admitted) -> None:
    wanted = {"metadata": {"name": "one"}, "spec": {"className": "metal"}}
    await registries.workloads.create(Context(UserInfo("u")), "tenant-a", wanted)
    with pytest.raises(ApiError, match="already exists"):
        await registries.workloads.create(Context(UserInfo("u")), "tenant-a", wanted)
    await settled(registries)
    assert registries.quotas.used == 1


async def test_bindings_and_offers_are_admitted(registries: Admitted) -> None:
    context, host = Context(UserInfo("u")), host_name("uid-node-0")
    await registries.workloads.create(context, "tenant-a", {"metadata": {"name": "one"}, "spec": {"className": "metal"}})
    registries.admission.refused = {("CREATE", "workloads", "binding"), ("UPDATE", "hosts", "offers")}
    with pytest.raises(ApiError, match=r'workloads\.workload\.metal3\.io "one" is forbidden: not now'):
        await registries.workloads.connect(context, "tenant-a", "one", "binding", {"target": {"name": host}})
    with pytest.raises(ApiError, match="not now"):
        await registries.hosts.connect(context, "", host, "offers", {"namespaces": []})
    assert registries.view("tenant-b", "node-0") is not None
    registries.admission.refused = set()
    await registries.workloads.connect(context, "tenant-a", "one", "binding", {"target": {"name": host}})
    assert registries.view("tenant-b", "node-0") is None


async def test_deletions_of_views_are_admitted(registries: Admitted) -> None:
    registries.admission.refused = {("UPDATE", "baremetalhosts", "")}
    assert await claim(registries, "node-0") == 403
    assert ("CREATE", "workloads", "") not in registries.admission.asked
