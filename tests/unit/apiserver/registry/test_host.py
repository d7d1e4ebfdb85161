"""Check how the owner finds Hosts: by columns, labels and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.status import ApiError
from apiserver.handlers.response.table import definitions, rows
from apiserver.registry.generic.selectors import FieldSelector, LabelSelector, Selector
from apiserver.registry.host import HOSTS
from apiserver.registry.reservation import RESERVATIONS
from apiserver.registry.workload import WORKLOADS
from apiserver.registry.workloadclass import WORKLOADCLASSES
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries, report

if TYPE_CHECKING:
    from apiserver.registry.generic.entry import Entry
    from apiserver.registry.generic.resource import Resource

HARDWARE = {"cpu": {"arch": "x86_64", "count": 16}, "ramMebibytes": 65536, "storage": [{"name": "/dev/sda", "sizeBytes": 2**40}]}


def cells(resource: Resource, entry: Entry) -> dict[str, Any]:
    """Return the cells of an object's row by column."""
    [row] = rows({}, resource, "v1", [entry])
    return dict(zip((column["name"] for column in definitions(resource)), orjson.loads(row)["cells"], strict=True))


def labels(registries: Registries, host: str) -> dict[str, str]:
    found: dict[str, str] = registries.hosts.get("", host).object()["metadata"].get("labels", {})
    return found


async def test_a_row_says_which_machine_it_is_how_large_and_whose(named: Registries) -> None:
    host = await named.add_host()
    await named.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "web"}, "spec": {"className": "metal"}})
    await named.workloads.connect(CONTEXT, "tenant-a", "web", "binding", {"target": {"name": host}})
    await named.report(host, {"available": False, "report": report(state="provisioned", hardware=HARDWARE, poweredOn=True)})
    found = cells(HOSTS, named.hosts.get("", host))
    assert (found["Host"], found["Class"], found["State"], found["Tenant"]) == ("node-0", "metal", "Bound", "tenant-a")
    assert (found["Size"], found["Power"]) == ("16 CPU, 64Gi, 1Ti", "on")


async def test_unknown_cells_are_empty(named: Registries) -> None:
    spec = {"className": "metal", "source": {"name": "node-0", "uid": "u"}}
    entry = await named.hosts.create(CONTEXT, "", {"metadata": {"name": "new"}, "spec": spec})
    found = cells(HOSTS, entry)
    assert (found["Size"], found["Power"]) == (None, None)


async def test_hosts_have_the_labels_of_their_reports_and_of_their_class(named: Registries) -> None:
    host = await named.add_host()
    assert labels(named, host) == {"rack": "r1", "workload.metal3.io/class": "metal"}

    def own(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "metadata": {**old["metadata"], "labels": {**old["metadata"]["labels"], "mine": "kept"}}}

    await named.hosts.update(CONTEXT, "", host, own)
    reported = {**report(), "labels": {"zone": "z1", "not a label": "x", "bad": "no label !"}}
    await named.report(host, {"available": True, "report": reported})
    assert labels(named, host) == {"mine": "kept", "zone": "z1", "workload.metal3.io/class": "metal"}
    managers = orjson.dumps(named.hosts.get("", host).object()["metadata"]["managedFields"]).decode()
    assert "f:zone" not in managers.replace("f:status", "").partition("f:report")[0]


async def test_hosts_are_selected_by_class_state_name_and_label(named: Registries) -> None:
    first, second = await named.add_host("node-0"), await named.add_host("node-1")
    await named.report(second, {"available": False, "reason": "Unhealthy", "report": report("node-1")})
    entries = [named.hosts.get("", host) for host in (first, second)]

    def chosen(fields: str = "", label: str = "") -> list[str]:
        selector = Selector(LabelSelector.parse(label), FieldSelector.parse(fields, {"metadata.name", *(HOSTS.fields or {})}))
        return [entry.name for entry in entries if selector.matches(entry)]

    assert chosen("spec.source.name=node-1") == [second]
    assert chosen("spec.className=metal,status.phase=Available") == [first]
    assert chosen("status.reason=Unhealthy") == [second]
    assert chosen(label="workload.metal3.io/class=metal,rack=r1") == [first, second]


async def test_the_default_class_is_marked(named: Registries) -> None:
    annotations = {"workloadclass.workload.metal3.io/is-default-class": "true"}
    metadata = {"name": "metal", "annotations": annotations}
    entry = await named.classes.create(CONTEXT, "", {"metadata": metadata, "spec": {"provisioner": "metal3.io/baremetalhost"}})
    other = await named.classes.create(CONTEXT, "", {"metadata": {"name": "other"}, "spec": {"provisioner": "metal3.io/baremetalhost"}})
    assert [cells(WORKLOADCLASSES, one)["Name"] for one in (entry, other)] == ["metal (default)", "other"]


def test_no_short_name_is_kueues() -> None:
    names = [*WORKLOADS.short_names, *WORKLOADCLASSES.short_names, *HOSTS.short_names, *RESERVATIONS.short_names]
    assert "wl" not in names
    assert len(names) == 4


async def test_a_cordoned_host_is_not_available_until_it_is_uncordoned(named: Registries) -> None:
    host = await named.add_host()

    async def mark(value: bool | None) -> str:
        await named.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {**old["spec"], "unschedulable": value}})
        return str(cells(HOSTS, named.hosts.get("", host))["State"])

    assert await mark(value=True) == "Unavailable,SchedulingDisabled"
    await named.report(host, {"available": True, "report": report()})
    assert named.hosts.get("", host).object()["status"]["phase"] == "Unavailable", "a later report does not change that"
    assert await mark(value=None) == "Available"


async def test_a_cordoned_host_gets_no_binding_and_keeps_an_existing_one(named: Registries) -> None:
    host = await named.add_host()

    async def mark(value: bool | None) -> None:
        await named.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {**old["spec"], "unschedulable": value}})

    await named.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "web"}, "spec": {"className": "metal"}})
    await mark(value=True)
    with pytest.raises(ApiError) as refused:
        await named.workloads.connect(CONTEXT, "tenant-a", "web", "binding", {"target": {"name": host}})
    assert refused.value.code == 409
    with pytest.raises(ApiError):
        await named.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    await mark(value=None)
    await named.workloads.connect(CONTEXT, "tenant-a", "web", "binding", {"target": {"name": host}})
    await mark(value=True)
    assert cells(HOSTS, named.hosts.get("", host))["State"] == "Bound,SchedulingDisabled"
    assert named.workloads.get("tenant-a", "web").object()["status"]["phase"] == "Bound"


def test_every_kinds_columns_are_empty_in_a_bookmark(registries: Registries) -> None:
    """kube-controller-manager's garbage collector watches every kind, and begins with a bookmark."""
    bookmark = {"metadata": {"resourceVersion": "7", "creationTimestamp": None}}
    for one in registries.catalog.registries:
        assert not any(column.of(bookmark) for column in one.resource.columns), one.resource.kind
