"""Check that a namespace's HardwareData is the hardware that its views show, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.metal3 import HardwareData
from apiserver.apis.status import ApiError
from apiserver.handlers.list import page
from apiserver.handlers.request.call import RequestInfo
from apiserver.handlers.request.options import list_options
from apiserver.handlers.scope import Scope
from apiserver.handlers.watchers.registry import Watches
from apiserver.registry import hardwaredata
from apiserver.registry.generic.derivedcollection import DerivedCollection
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries, report

if TYPE_CHECKING:
    from apiserver.registry.generic.entry import Entry

HARDWARE = {"cpu": {"arch": "x86_64", "count": 64}, "ramMebibytes": 262144, "nics": [{"name": "eno1", "mac": "00:11:22:33:44:55"}]}


async def inspected(registries: Registries, hardware: dict[str, Any] | None = HARDWARE) -> str:
    """Create a host that is offered to both tenants. Return its Host's name."""
    host = await registries.add_host()
    await tell(registries, host, hardware)
    return host


async def tell(registries: Registries, host: str, hardware: dict[str, Any] | None) -> None:
    found: dict[str, Any] = {"hardware": hardware} if hardware is not None else {}
    await registries.report(host, {"available": True, "report": report("node-0", **found)})


def names(registries: Registries, namespace: str) -> list[str]:
    kind = registries.catalog.hardware.resource
    return [entry.name for entry in registries.catalog.hardware.collection.range(kind.key(namespace, ""))]


async def test_hardware_data_has_the_hardware_of_the_view_of_the_same_name(registries: Registries) -> None:
    await inspected(registries)
    view, found = registries.views.get("tenant-a", "node-0"), registries.catalog.hardware.get("tenant-a", "node-0")
    made = found.object()
    HardwareData.decode(made)
    assert made["spec"] == {"hardware": view.object()["status"]["hardware"]}
    assert (made["apiVersion"], made["kind"]) == ("metal3.io/v1alpha1", "HardwareData")
    assert set(made["metadata"]) == {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}
    assert made["metadata"]["resourceVersion"] == str(view.revision)
    other = registries.catalog.hardware.get("tenant-b", "node-0").object()["metadata"]
    assert len({made["metadata"]["uid"], other["uid"], view.object()["metadata"]["uid"]}) == 3


async def test_hardware_data_follows_the_claim_of_its_host(registries: Registries) -> None:
    await inspected(registries)
    assert names(registries, "tenant-b") == ["node-0"]
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert names(registries, "tenant-a") == ["node-0"]
    assert names(registries, "tenant-b") == []
    with pytest.raises(ApiError) as error:
        registries.catalog.hardware.get("tenant-b", "node-0")
    assert error.value.code == 404
    assert "hardwaredata.metal3.io" in str(error.value)


@pytest.mark.parametrize("text", ['"hardware":{', '{"hardware":{"cpu":1}}', "hardware"])
async def test_words_of_a_tenant_make_no_hardware(registries: Registries, text: str) -> None:
    await inspected(registries, None)
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)

    def change(view: dict[str, Any]) -> dict[str, Any]:
        return {**view, "metadata": {**view["metadata"], "annotations": {"hardware": text, "example.com/note": text}}}

    await registries.views.update(CONTEXT, "tenant-a", "node-0", change)
    assert names(registries, "tenant-a") == []
    assert registries.catalog.hardware.find("tenant-a", "node-0") is None


async def test_a_watch_sees_it_come_change_and_go(registries: Registries) -> None:
    host = await inspected(registries, None)
    collection = registries.catalog.hardware.collection
    changes = collection.subscribe(collection.revision)
    await tell(registries, host, HARDWARE)
    await tell(registries, host, {**HARDWARE, "ramMebibytes": 1})
    await tell(registries, host, None)
    seen = [change for change in changes.take() if change.item.namespace == "tenant-a"]
    assert [(change.type, change.previous is not None) for change in seen] == [("put", False), ("put", True), ("delete", True)]
    assert seen[1].item.object()["spec"]["hardware"]["ramMebibytes"] == 1
    for change in seen:
        assert orjson.loads(change.item.json)["metadata"]["resourceVersion"] == str(change.revision)
    assert changes.complete
    assert changes.revision == collection.revision
    assert changes.take() == []


async def test_history_has_it_as_the_views_were(registries: Registries) -> None:
    await inspected(registries)
    kind = registries.catalog.hardware.resource
    page = await registries.views.cache.list(kind.key("tenant-a", ""))
    (found,) = [registries.catalog.hardware.from_history(item.key, item.value, item.revision) for item in page.items]
    assert found is not None
    assert found.object() == registries.catalog.hardware.get("tenant-a", "node-0").object()
    assert registries.catalog.hardware.collection.index("labels", ("rack", "r1")) == (), "it has no labels"


@pytest.mark.parametrize("selector", ["", "metadata.name!=none"])
async def test_the_cost_of_a_page_depends_on_its_length(registries: Registries, selector: str) -> None:
    """Count what is computed for a list in pages of one object."""
    count, computed = 120, 0
    for number in range(count):
        host = await registries.add_host(f"node-{number:03}", offers=("tenant-a",))
        hardware: dict[str, Any] = {"hardware": HARDWARE} if number % 6 else {}
        await registries.report(host, {"available": True, "report": report(f"node-{number:03}", **hardware)})
    registry = registries.catalog.hardware

    def counted(view: Entry) -> Entry | None:
        nonlocal computed
        computed += 1
        return registry.from_history(view.key, view.json.replace(b'"resourceVersion":"%d",' % view.revision, b"", 1), view.revision)

    registry.collection = DerivedCollection(registries.views.collection, counted, hardwaredata.INDEX)
    scope, info = Scope(registry, Watches()), RequestInfo(verb="list", path="/", namespace="tenant-a")
    seen, more = [], {"limit": "1", **({"fieldSelector": selector} if selector else {})}
    while True:
        found = await page(scope, info, list_options(more, registry.resource))
        seen += [entry.name for entry in found.entries]
        if not found.token:
            break
        more["continue"] = found.token
    assert seen == [f"node-{number:03}" for number in range(count) if number % 6] == names(registries, "tenant-a")
    assert len(registry.collection) == len(seen)
    each = 1 if not selector else 1 + 16  # objects are matched sixteen at a time
    assert computed <= (len(seen) + 1) * (each + 2)
