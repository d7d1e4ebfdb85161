"""Check that claims belong to a namespace by its uid: a later namespace of the same name gets
nothing of its predecessor's."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError, service_unavailable
from apiserver.registry.catalog import management_catalog
from apiserver.registry.claims.namespaces import NamespaceUids
from storage.base import Delete
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Source:
    """Hold the cluster's namespaces, and a copy of them that may lag behind."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.copy: dict[str, str] = {}
        self.down = False

    def create(self, name: str, *, seen: bool = True) -> str:
        self.now[name] = str(uuid.uuid4())
        if seen:
            self.copy[name] = self.now[name]
        return self.now[name]

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        if not live and name in self.copy:
            return {"metadata": {"name": name, "uid": self.copy[name]}}
        if self.down:
            raise service_unavailable("it does not answer")
        return {"metadata": {"name": name, "uid": self.now[name]}} if name in self.now else None


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def registries(tmp_path: Path, source: Source) -> AsyncIterator[Registries]:
    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off"))
    catalog = management_catalog(cache, namespaces=source)
    await cache.start()
    yield Registries(catalog)
    await cache.close()


def spec(registries: Registries, host: str) -> dict[str, Any]:
    return dict(registries.hosts.get("", host).object()["spec"])


def dirty(uid: str | None, **status: Any) -> dict[str, Any]:
    made = {"available": True, "dirtyFor": "tenant-a", "dirtyForUID": uid, "report": report(), **status}
    return {key: value for key, value in made.items() if value is not None}


async def bind(registries: Registries, name: str, host: str, namespace: str = "tenant-a") -> None:
    await registries.workloads.create(CONTEXT, namespace, {"metadata": {"name": name}})
    await registries.workloads.connect(CONTEXT, namespace, name, "binding", {"target": {"name": host}})


async def offer(registries: Registries, host: str) -> None:
    await registries.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": ["tenant-a"]})


async def test_both_ways_of_claiming_record_the_uid(registries: Registries, source: Source) -> None:
    uid = source.create("tenant-a")
    first, second = await registries.add_host(), await registries.add_host("node-1")
    await bind(registries, "w", first)
    await registries.patch_view("tenant-a", "node-1", consumerRef=CONSUMER)
    assert [spec(registries, host)["claimRef"]["namespaceUID"] for host in (first, second)] == [uid, uid]


async def test_the_uid_is_the_one_of_the_claim_not_that_of_an_old_copy(registries: Registries, source: Source) -> None:
    source.create("tenant-a")
    host = await registries.add_host()
    later = source.create("tenant-a", seen=False)
    await bind(registries, "w", host)
    assert spec(registries, host)["claimRef"]["namespaceUID"] == later


@pytest.mark.parametrize("seen", [True, False])
async def test_an_uncleaned_host_is_not_a_later_namespaces(registries: Registries, source: Source, seen: bool) -> None:
    """Check an uncleaned host also while the copy of namespaces still has the old one. The host is
    then visible, but cannot be claimed."""
    uid = source.create("tenant-a")
    host = await registries.add_host(offers=("tenant-a",))
    await registries.report(host, dirty(uid))
    source.create("tenant-a", seen=seen)
    await registries.report(host, dirty(uid, report=report(poweredOn=True)))
    assert (registries.view("tenant-a", "node-0") is None) == seen
    with pytest.raises(ApiError) as refused:
        await bind(registries, "w", host)
    assert refused.value.code == 409
    assert "not been cleaned" in refused.value.message
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert refused.value.code == (404 if seen else 409)
    assert "claimRef" not in spec(registries, host)


async def test_its_own_namespace_gets_it_back(registries: Registries, source: Source) -> None:
    uid = source.create("tenant-a")
    host = await registries.add_host(offers=("tenant-a", "tenant-b"))
    await registries.report(host, dirty(uid))
    assert registries.view("tenant-a", "node-0") is not None
    assert registries.view("tenant-b", "node-0") is None
    await bind(registries, "w", host)
    assert spec(registries, host)["claimRef"]["namespaceUID"] == uid


async def test_a_host_that_is_marked_by_name_only_is_offered_to_no_namespace(registries: Registries, source: Source) -> None:
    source.create("tenant-a")
    host = await registries.add_host(offers=("tenant-a",))
    await registries.report(host, dirty(None))
    assert registries.view("tenant-a", "node-0") is None
    with pytest.raises(ApiError):
        await bind(registries, "w", host)
    assert registries.hosts.get("", host).object()["status"]["dirtyFor"] == "tenant-a", "it stays readable"


async def test_an_offer_made_from_an_old_plan_is_not_shown(registries: Registries, source: Source) -> None:
    uid = source.create("tenant-a")
    host = await registries.add_host(offers=())
    await registries.report(host, dirty(uid))
    source.create("tenant-a")
    await offer(registries, host)
    assert registries.view("tenant-a", "node-0") is None


async def test_a_released_host_does_not_fall_to_a_later_namespace_by_its_old_offers(registries: Registries, source: Source) -> None:
    uid = source.create("tenant-a")
    host = await registries.add_host(offers=("tenant-a",))
    await bind(registries, "w", host)
    await registries.report(host, dirty(uid, available=False))
    source.create("tenant-a")
    await registries.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {k: v for k, v in old["spec"].items() if k != "claimRef"}})
    assert registries.view("tenant-a", "node-0") is None


async def test_what_is_seen_stays_while_nothing_can_be_found_out(registries: Registries, source: Source) -> None:
    uid = source.create("tenant-a")
    host = await registries.add_host(offers=("tenant-a",))
    await registries.report(host, dirty(uid))
    source.copy.clear()
    source.down = True
    await registries.report(host, dirty(uid, report=report(poweredOn=True)))
    assert registries.view("tenant-a", "node-0") is not None
    with pytest.raises(ApiError) as refused:
        await bind(registries, "w", host)
    assert refused.value.code == 503


HELD = {"namespace": "tenant-a", "spec": {"consumerRef": CONSUMER, "online": True}}


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_claim_that_a_relay_knows_is_not_a_later_namespaces(registries: Registries, source: Source, recorded: bool) -> None:
    uid = source.create("tenant-a")
    host = await registries.add_host(offers=("tenant-a",))
    held = {**HELD, "namespaceUID": uid} if recorded else HELD
    await registries.report(host, {"available": False, "reason": "Held", "report": report(), "held": held})
    assert (registries.view("tenant-a", "node-0") is not None) == recorded
    source.create("tenant-a", seen=False)
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, online=False)
    assert refused.value.code == (409 if recorded else 404)
    source.copy.clear()
    await registries.report(host, {"available": False, "reason": "Held", "report": report(poweredOn=True), "held": held})
    assert registries.view("tenant-a", "node-0") is None
    assert "claimRef" not in spec(registries, host)


async def test_a_claim_whose_workload_is_gone_is_not_written_by_a_later_namespace(registries: Registries, source: Source) -> None:
    source.create("tenant-a")
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    (workload,) = registries.workloads.collection.range()
    await registries.hosts.cache.commit([Delete(workload.key, workload.revision)])
    source.create("tenant-a")
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", consumerRef=None)
    assert refused.value.code == 404
    assert "claimRef" in spec(registries, host)


async def test_without_a_source_nothing_that_has_a_uid_is_given_away() -> None:
    nowhere = NamespaceUids(None)
    assert await nowhere.current("tenant-a") == ""
    assert await nowhere.is_now("tenant-a", "") is True
    assert await nowhere.is_now("tenant-a", "u") is False
