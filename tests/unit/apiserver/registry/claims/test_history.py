"""Check the history of a host's claims: complete in every commit, bounded, and for its owner only."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.apis.host import HostStatus
from apiserver.registry.claims.history import BYTES, ENTRIES, TEXT, outcome, updated_history, with_claim
from apiserver.registry.generic.context import DeleteOptions
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries, report


async def bind(registries: Registries, host: str, name: str = "web", **spec: Any) -> str:
    """Create a Workload, bind it to the host, and return its uid."""
    made = await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": name}, "spec": {"className": "metal", **spec}})
    await registries.workloads.connect(CONTEXT, "tenant-a", name, "binding", {"target": {"name": host}})
    return str(made.object()["metadata"]["uid"])


async def unbind(registries: Registries, host: str) -> None:
    def change(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "spec": {key: value for key, value in old["spec"].items() if key != "claimRef"}}

    await registries.hosts.update(CONTEXT, "", host, change)


async def release(registries: Registries, host: str, name: str = "web") -> None:
    """Delete the Workload and clear its claim, as the controllers do."""
    await registries.workloads.delete(CONTEXT, "tenant-a", name, DeleteOptions())
    await unbind(registries, host)


def history(registries: Registries, host: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = registries.hosts.get("", host).object()["status"].get("history", [])
    return found


def running(url: str = IMAGE["url"], **status: Any) -> dict[str, Any]:
    return report(state="provisioned") | {
        "status": {
            "operationalStatus": "OK",
            "errorMessage": "",
            "poweredOn": True,
            "provisioning": {"state": "provisioned", "ID": "", "image": {"url": url}},
            **status,
        }
    }


async def test_a_life_is_recorded_from_binding_to_cleaning(named: Registries) -> None:
    host = await named.add_host()
    uid = await bind(named, host, image={**IMAGE, "url": "https://images.example:8443/os.qcow2?token=abc"})
    [entry] = history(named, host)
    assert entry.pop("boundAt")
    expected = {"namespace": "tenant-a", "namespaceUID": "uid-tenant-a", "name": "web", "uid": uid, "className": "metal"}
    assert entry == {**expected, "image": "https://images.example:8443/os.qcow2"}

    await named.report(host, {"available": False, "report": running("https://u:p@images.example/os.qcow2?sig=1")})
    [entry] = history(named, host)
    assert entry["image"] == "https://images.example/os.qcow2"
    assert entry["runningAt"]
    assert "releasedAt" not in entry

    await release(named, host)
    [entry] = history(named, host)
    assert (entry["outcome"], bool(entry["releasedAt"]), "cleanedAt" in entry) == ("Released", True, False)

    await named.report(host, {"available": True, "report": report()})
    [entry] = history(named, host)
    assert entry["cleanedAt"]


async def test_a_claim_through_the_view_is_recorded(named: Registries) -> None:
    host = await named.add_host()
    await named.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)
    [entry] = history(named, host)
    assert (entry["namespace"], entry["name"], entry["image"]) == ("tenant-a", "node-0", IMAGE["url"])


async def test_repeated_writes_record_nothing_twice(named: Registries) -> None:
    host = await named.add_host()
    await bind(named, host)
    for _ in range(2):
        await named.workloads.connect(CONTEXT, "tenant-a", "web", "binding", {"target": {"name": host}})
        await named.report(host, {"available": False, "report": running()})
    before = history(named, host)
    assert len(before) == 1
    revision = named.hosts.get("", host).revision
    await named.report(host, {"available": False, "report": running()})
    assert named.hosts.get("", host).revision == revision
    assert history(named, host) == before


async def test_no_writer_changes_the_history(named: Registries) -> None:
    host = await named.add_host()
    await bind(named, host)
    before = history(named, host)
    await named.report(host, {"available": False, "report": running(), "history": []})
    await named.report(host, {"available": False, "report": running(), "history": "forged"})
    await named.hosts.update(
        CONTEXT, "", host, lambda old: {key: value for key, value in old.items() if key != "status"}, subresource="status"
    )
    [entry] = history(named, host)
    assert before[0].items() <= entry.items()
    managers = orjson.dumps(named.hosts.get("", host).object()["metadata"]["managedFields"]).decode()
    assert "f:history" not in managers


async def test_no_tenant_sees_the_history(named: Registries) -> None:
    host = await named.add_host()
    await bind(named, host, "first")
    await release(named, host, "first")
    await named.report(host, {"available": True, "report": report()})
    await named.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": ["tenant-b"]})
    view = orjson.dumps(named.view("tenant-b", "node-0")).decode()
    assert "history" not in view
    assert "tenant-a" not in view


async def test_a_claim_of_an_earlier_version_gets_its_entry(named: Registries) -> None:
    host = await named.add_host()
    uid = await bind(named, host)
    entry = named.hosts.get("", host)
    stored = entry.object()
    del stored["status"]["history"]
    await named.hosts.cache.commit([named.hosts.put(entry, stored)])
    await unbind(named, host)
    [found] = history(named, host)
    assert (found["uid"], found["outcome"], bool(found["boundAt"])) == (uid, "TakenBack", True)


async def test_a_host_that_is_not_clean_is_not_recorded_as_cleaned(named: Registries) -> None:
    host = await named.add_host()
    await bind(named, host)
    await release(named, host)
    await named.report(host, {"available": True, "report": report(), "dirtyFor": "tenant-a", "dirtyForUID": "uid-tenant-a"})
    assert "cleanedAt" not in history(named, host)[0]
    await bind(named, host, "second")
    assert [item["name"] for item in history(named, host)] == ["web", "second"]


WORKLOAD: dict[str, Any] = {"metadata": {"name": "web"}, "spec": {}, "status": {}}
DELETED: dict[str, Any] = {**WORKLOAD, "metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("workload", "may_retain", "expected"),
    [
        (None, True, "WorkloadGone"),
        (WORKLOAD, True, "TakenBack"),
        ({**WORKLOAD, "status": {"phase": "Pending"}}, True, "Rescheduled"),
        (DELETED, True, "Released"),
        ({**DELETED, "spec": {"reclaimPolicy": "Retain"}}, True, "Retained"),
        ({**DELETED, "spec": {"reclaimPolicy": "Retain"}}, False, "Released"),
    ],
)
def test_how_a_claim_ended(workload: dict[str, Any] | None, may_retain: bool, expected: str) -> None:
    assert outcome(workload, may_retain=may_retain) == expected


def claim(number: int, size: int = 1) -> dict[str, str]:
    return {"namespace": "n" * size, "name": "w" * size, "uid": f"uid-{number}"}


@pytest.mark.parametrize("size", [1, 253, 2000])
def test_the_history_is_bounded(size: int) -> None:
    host: dict[str, Any] = {"spec": {"className": "metal"}, "status": {}}
    for number in range(3 * ENTRIES):
        ended = {"report": {"status": {"errorMessage": "é" * 4096}}}
        old = {
            "spec": {"className": "metal", "claimRef": claim(number, size)},
            "status": {"history": with_claim(host, claim(number, size), None, "t")},
        }
        host = {"spec": {"className": "metal"}, "status": ended}
        host["status"]["history"] = updated_history(old, host, None, "Released", "t")
    found = host["status"]["history"]
    assert found[-1]["uid"] == f"uid-{3 * ENTRIES - 1}"
    assert len(found) <= ENTRIES
    assert len(orjson.dumps(found)) <= BYTES + 1024
    assert len(found[-1]["lastError"]) == TEXT


def test_claims_under_which_nothing_ran_are_dropped_first() -> None:
    host: dict[str, Any] = {"spec": {"className": "metal"}, "status": {}}
    runs: dict[str, Any] = {"report": {"status": {"provisioning": {"state": "provisioned"}}}}
    for number in range(3 * ENTRIES):
        old = {
            "spec": {"className": "metal", "claimRef": claim(number)},
            "status": {"history": with_claim(host, claim(number), None, "t")},
        }
        host = {"spec": {"className": "metal"}, "status": dict(runs) if number == 1 else {}}
        host["status"]["history"] = updated_history(old, host, None, "Released", "t")
    found = host["status"]["history"]
    assert [entry["uid"] for entry in found[:2]] == ["uid-1", f"uid-{2 * ENTRIES + 1}"]
    assert (len(found), found[-1]["uid"]) == (ENTRIES, f"uid-{3 * ENTRIES - 1}")


def test_the_model_keeps_what_is_recorded() -> None:
    entry = {**claim(1), "namespaceUID": "u", "className": "metal", "boundAt": "2026-01-01T00:00:00Z", "outcome": "Released"}
    assert HostStatus.decode({"history": [entry]}).encode()["history"] == [entry]
