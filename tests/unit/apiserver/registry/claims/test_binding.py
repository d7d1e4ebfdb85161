"""Check who changes status.binding and how, and that Workloads of earlier versions have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.entry import encode_stored
from apiserver.registry.workload import WORKLOADS
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONTEXT, IMAGE, Registries

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = ("Assumed", "Confirmed", "Rescheduling")


def status_of(registries: Registries) -> dict[str, Any]:
    status: dict[str, Any] = registries.workloads.get("tenant-a", "w").object()["status"]
    return status


async def write(registries: Registries, **changes: Any) -> dict[str, Any]:
    """Write the status as controllers do, without the fields that are None."""
    merged = {**status_of(registries), **changes}
    status = {field: value for field, value in merged.items() if value is not None}
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda obj: {**obj, "status": status}, subresource="status")
    return status_of(registries)


async def bind(registries: Registries) -> str:
    """Create the Workload `w`, bind it, and return the name of its Host."""
    host = await registries.add_host("node-0")
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    return host


async def unbind(registries: Registries, host: str) -> dict[str, Any]:
    await registries.hosts.update(CONTEXT, "", host, lambda obj: {**obj, "spec": {**obj["spec"], "claimRef": None}})
    return status_of(registries)


async def store(registries: Registries, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Store the Workload as an earlier version did."""
    entry = registries.workloads.get("tenant-a", "w")
    obj = entry.object()
    value = encode_stored(WORKLOADS, {**obj, "status": change(obj["status"])})
    await registries.workloads.cache.commit([Put(entry.key, value, entry.revision)])


def without_binding(status: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in status.items() if field != "binding"}


async def test_a_binding_is_assumed_until_the_source_confirms_it(registries: Registries) -> None:
    host = await bind(registries)
    assert status_of(registries)["binding"] == {"state": "Assumed"}
    assert (await write(registries, binding={"state": "Confirmed"}))["binding"] == {"state": "Confirmed"}
    assert "binding" not in await unbind(registries, host)


async def test_a_rescheduled_workload_waits_for_another_host(registries: Registries) -> None:
    host = await bind(registries)
    await write(registries, phase="Pending", binding={"state": "Rescheduling"})
    status = await unbind(registries, host)
    assert (status["phase"], "host" in status, "binding" in status) == ("Pending", False, False)


async def test_a_confirmed_host_that_is_taken_back_is_lost_in_every_phase(registries: Registries) -> None:
    host = await bind(registries)
    await write(registries, binding={"state": "Confirmed"})
    await write(registries, phase="Pending")
    assert (await unbind(registries, host))["phase"] == "Lost"


@pytest.mark.parametrize("before", STATES[1:])
@pytest.mark.parametrize("after", STATES)
async def test_only_an_assumed_binding_changes(registries: Registries, before: str, after: str) -> None:
    await bind(registries)
    await write(registries, binding={"state": before})
    if after == before:
        assert (await write(registries, binding={"state": after}))["binding"] == {"state": before}
        return
    with pytest.raises(ApiError, match=f"the state stays {before} until the Workload has no host") as refused:
        await write(registries, binding={"state": after})
    assert refused.value.code == 422
    assert status_of(registries)["binding"] == {"state": before}


async def test_a_status_cannot_take_the_binding_or_make_one(registries: Registries) -> None:
    host = await registries.add_host("node-0")
    await registries.workloads.create(
        CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {}, "status": {"binding": {"state": "Confirmed"}}}
    )
    assert "binding" not in status_of(registries)
    assert "binding" not in await write(registries, binding={"state": "Confirmed"})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert (await write(registries, binding=None, host=None))["binding"] == {"state": "Assumed"}
    bare = {field: value for field, value in registries.workloads.get("tenant-a", "w").object().items() if field != "status"}
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda _: bare, subresource="status")
    assert {"host", "binding"} <= status_of(registries).keys()


@pytest.mark.parametrize("binding", ["Confirmed", ["Confirmed"], 7, {"state": 7}, {"state": None}, {"state": "Married"}])
async def test_a_binding_of_another_form_is_refused(registries: Registries, binding: Any) -> None:
    await bind(registries)
    with pytest.raises(ApiError, match=r"status\.binding") as refused:
        await write(registries, binding=binding)
    assert refused.value.code == 422
    assert status_of(registries)["binding"] == {"state": "Assumed"}


async def test_a_stored_workload_of_an_earlier_version_has_the_field(registries: Registries) -> None:
    host = await bind(registries)
    await store(registries, without_binding)
    assert status_of(registries)["binding"] == {"state": "Assumed"}
    await store(registries, lambda status: {**without_binding(status), "phase": "Pending"})
    assert status_of(registries)["binding"] == {"state": "Rescheduling"}
    status = await unbind(registries, host)
    assert (status["phase"], "binding" in status) == ("Pending", False)


async def test_a_stored_workload_of_an_earlier_version_can_be_written(registries: Registries) -> None:
    await bind(registries)
    await write(registries, binding={"state": "Confirmed"}, phase="Running")
    bound = [{**item, "reason": "Bound"} for item in status_of(registries)["conditions"]]
    await store(registries, lambda status: {**without_binding(status), "conditions": bound})
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda obj: {**obj, "spec": {**obj["spec"], "online": False}})
    assert status_of(registries)["binding"] == {"state": "Confirmed"}
    stored = await registries.workloads.cache.get(registries.workloads.get("tenant-a", "w").key)
    assert stored is not None
    assert b'"binding":{"state":"Confirmed"}' in stored.value, "the write stores the field"


async def test_controllers_of_an_earlier_version_confirm_and_reschedule(registries: Registries) -> None:
    """Check the writes of controllers that know no status.binding, as during an upgrade."""
    host = await bind(registries)
    (bound,) = status_of(registries)["conditions"]
    refused = {**bound, "status": "False", "reason": "HostTaken"}
    assert (await write(registries, conditions=[refused]))["binding"] == {"state": "Assumed"}
    assert (await write(registries, phase="Pending"))["binding"] == {"state": "Rescheduling"}
    assert (await unbind(registries, host))["phase"] == "Pending"
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert (await write(registries, conditions=[{**bound, "reason": "Bound"}]))["binding"] == {"state": "Confirmed"}
