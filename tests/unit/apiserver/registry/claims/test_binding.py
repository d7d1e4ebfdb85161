"""Check who changes status.binding and how, and that Workloads of earlier versions have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.entry import encode_stored
from apiserver.registry.workload import WORKLOADS
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONTEXT, IMAGE, Bench

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = ("Assumed", "Confirmed", "Rescheduling")


def status_of(bench: Bench) -> dict[str, Any]:
    status: dict[str, Any] = bench.workloads.get("tenant-a", "w").object()["status"]
    return status


async def write(bench: Bench, **changes: Any) -> dict[str, Any]:
    """Write the status as controllers do, without the fields that are None."""
    merged = {**status_of(bench), **changes}
    status = {field: value for field, value in merged.items() if value is not None}
    await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda obj: {**obj, "status": status}, subresource="status")
    return status_of(bench)


async def bind(bench: Bench) -> str:
    """Create the Workload `w`, bind it, and return the name of its Host."""
    host = await bench.add_host("node-0")
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    return host


async def unbind(bench: Bench, host: str) -> dict[str, Any]:
    await bench.hosts.update(CONTEXT, "", host, lambda obj: {**obj, "spec": {**obj["spec"], "claimRef": None}})
    return status_of(bench)


async def store(bench: Bench, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Store the Workload as an earlier version did."""
    entry = bench.workloads.get("tenant-a", "w")
    obj = entry.object()
    value = encode_stored(WORKLOADS, {**obj, "status": change(obj["status"])})
    await bench.workloads.cache.commit([Put(entry.key, value, entry.revision)])


def without_binding(status: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in status.items() if field != "binding"}


async def test_a_binding_is_assumed_until_the_source_confirms_it(bench: Bench) -> None:
    host = await bind(bench)
    assert status_of(bench)["binding"] == {"state": "Assumed"}
    assert (await write(bench, binding={"state": "Confirmed"}))["binding"] == {"state": "Confirmed"}
    assert "binding" not in await unbind(bench, host)


async def test_a_rescheduled_workload_waits_for_another_host(bench: Bench) -> None:
    host = await bind(bench)
    await write(bench, phase="Pending", binding={"state": "Rescheduling"})
    status = await unbind(bench, host)
    assert (status["phase"], "host" in status, "binding" in status) == ("Pending", False, False)


async def test_a_confirmed_host_that_is_taken_back_is_lost_in_every_phase(bench: Bench) -> None:
    host = await bind(bench)
    await write(bench, binding={"state": "Confirmed"})
    await write(bench, phase="Pending")
    assert (await unbind(bench, host))["phase"] == "Lost"


@pytest.mark.parametrize("before", STATES[1:])
@pytest.mark.parametrize("after", STATES)
async def test_only_an_assumed_binding_changes(bench: Bench, before: str, after: str) -> None:
    await bind(bench)
    await write(bench, binding={"state": before})
    if after == before:
        assert (await write(bench, binding={"state": after}))["binding"] == {"state": before}
        return
    with pytest.raises(ApiError, match=f"the state stays {before} until the Workload has no host") as refused:
        await write(bench, binding={"state": after})
    assert refused.value.code == 422
    assert status_of(bench)["binding"] == {"state": before}


async def test_a_status_cannot_take_the_binding_or_make_one(bench: Bench) -> None:
    host = await bench.add_host("node-0")
    await bench.workloads.create(
        CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {}, "status": {"binding": {"state": "Confirmed"}}}
    )
    assert "binding" not in status_of(bench)
    assert "binding" not in await write(bench, binding={"state": "Confirmed"})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert (await write(bench, binding=None, host=None))["binding"] == {"state": "Assumed"}
    bare = {field: value for field, value in bench.workloads.get("tenant-a", "w").object().items() if field != "status"}
    await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda _: bare, subresource="status")
    assert {"host", "binding"} <= status_of(bench).keys()


@pytest.mark.parametrize("binding", ["Confirmed", ["Confirmed"], 7, {"state": 7}, {"state": None}, {"state": "Married"}])
async def test_a_binding_of_another_form_is_refused(bench: Bench, binding: Any) -> None:
    await bind(bench)
    with pytest.raises(ApiError, match=r"status\.binding") as refused:
        await write(bench, binding=binding)
    assert refused.value.code == 422
    assert status_of(bench)["binding"] == {"state": "Assumed"}


async def test_a_stored_workload_of_an_earlier_version_has_the_field(bench: Bench) -> None:
    host = await bind(bench)
    await store(bench, without_binding)
    assert status_of(bench)["binding"] == {"state": "Assumed"}
    await store(bench, lambda status: {**without_binding(status), "phase": "Pending"})
    assert status_of(bench)["binding"] == {"state": "Rescheduling"}
    status = await unbind(bench, host)
    assert (status["phase"], "binding" in status) == ("Pending", False)


async def test_a_stored_workload_of_an_earlier_version_can_be_written(bench: Bench) -> None:
    await bind(bench)
    await write(bench, binding={"state": "Confirmed"}, phase="Running")
    bound = [{**item, "reason": "Bound"} for item in status_of(bench)["conditions"]]
    await store(bench, lambda status: {**without_binding(status), "conditions": bound})
    await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda obj: {**obj, "spec": {**obj["spec"], "online": False}})
    assert status_of(bench)["binding"] == {"state": "Confirmed"}
    stored = await bench.workloads.cache.get(bench.workloads.get("tenant-a", "w").key)
    assert stored is not None
    assert b'"binding":{"state":"Confirmed"}' in stored.value, "the write stores the field"


async def test_controllers_of_an_earlier_version_confirm_and_reschedule(bench: Bench) -> None:
    """Check the writes of controllers that know no status.binding, as during an upgrade."""
    host = await bind(bench)
    (bound,) = status_of(bench)["conditions"]
    refused = {**bound, "status": "False", "reason": "HostTaken"}
    assert (await write(bench, conditions=[refused]))["binding"] == {"state": "Assumed"}
    assert (await write(bench, phase="Pending"))["binding"] == {"state": "Rescheduling"}
    assert (await unbind(bench, host))["phase"] == "Pending"
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert (await write(bench, conditions=[{**bound, "reason": "Bound"}]))["binding"] == {"state": "Confirmed"}
