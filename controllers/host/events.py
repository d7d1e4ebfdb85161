"""Decide which Events tell a Host's owner what happened to the machine, and for which Workload.

The Events follow from the difference of two states of the Host, whatever caused it. They may be
lost; Host.status.history is the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from apiserver.apis.images import scrubbed
from apiserver.apis.metal3 import EMPTYING_STATES
from apiserver.client.objects import Object
from controllers.host.health import NOT_HEALTHY, health_of

TROUBLE = (NOT_HEALTHY, "Quarantined", "Unhealthy", "HostError", "HostGone", "Orphaned")
"""The reasons of a Host's status that are Events as well."""


class HostEvent(NamedTuple):
    """The type, reason and message of an Event about a Host."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def host_events(old: Object, new: Object) -> Iterator[HostEvent]:
    """Yield the Events about what happened to the machine between two states of its Host."""
    before, after = old["spec"].get("claimRef"), new["spec"].get("claimRef")
    name, changed = new["spec"]["source"]["name"], (before or {}).get("uid") != (after or {}).get("uid")
    if before and changed:
        yield HostEvent("Normal", "Released", f"{_holder(before)} has left {name}")
    if after and changed:
        yield HostEvent("Normal", "Bound", f"{name} is bound to {_holder(after)}")
    if (cordoned := bool(new["spec"].get("unschedulable"))) != bool(old["spec"].get("unschedulable")):
        text = f"no Workload gets {name} any more" if cordoned else f"Workloads can get {name} again"
        yield HostEvent("Normal", "Cordoned" if cordoned else "Uncordoned", text)
    if after or before:
        yield from _progress(old, new, name, _holder(after or before or {}))
    yield from _states(old, new, name)


def _progress(old: Object, new: Object, name: str, holder: str) -> Iterator[HostEvent]:
    """Yield the steps of an installation or a removal."""
    state, seen = _state(new), _report(new)
    if state == _state(old):
        return
    if state == "provisioning":
        yield HostEvent("Normal", "Provisioning", f"{name} is being installed for {holder}")
    elif state == "provisioned":
        yield HostEvent("Normal", "Provisioned", f"{name} runs what {holder} asked for{_image(seen)}")
    elif state in EMPTYING_STATES and _state(old) not in EMPTYING_STATES:
        yield HostEvent("Normal", "Deprovisioning", f"what {name} ran for {holder} is being removed, and wiped as the class says")


def _states(old: Object, new: Object, name: str) -> Iterator[HostEvent]:
    """Yield the Events about what the new report says about a host and the old one did not."""
    before, after = old.get("status") or {}, new.get("status") or {}
    if (reason := after.get("reason")) in TROUBLE and before.get("reason") != reason:
        yield HostEvent("Warning", reason, after.get("message") or reason)
    if (error := _report(new).get("errorMessage")) and _report(old).get("errorMessage") != error:
        yield HostEvent("Warning", "Failed", f"{name} reports: {error}")
    yield from _health(before, after, name)
    if after.get("dirtyFor") and before.get("dirtyFor") != after["dirtyFor"]:
        yield HostEvent("Warning", "NotCleaned", f"the disks of {name} hold data of the namespace {after['dirtyFor']}")
    if before.get("report") and _is_clean(new) and not _is_clean(old):
        cordoned = " when it is uncordoned" if new["spec"].get("unschedulable") else ""
        yield HostEvent("Normal", "Cleaned", f"{name} holds no tenant's data and can be claimed{cordoned}")


def _health(before: Object, after: Object, name: str) -> Iterator[HostEvent]:
    """Yield the Event about a change of a host's health, unless the reason of the status says it
    already."""
    old, new = health_of(before), health_of(after)
    if new is None or after.get("reason") == NOT_HEALTHY or (old or {}).get("status") == new["status"]:
        return
    if new["status"] == "False":
        yield HostEvent("Warning", NOT_HEALTHY, f"the BMC of {name} reports {new['reason']}: repair it; a Workload that has it keeps it")
    elif old is not None and (old["status"], new["status"]) == ("False", "True"):
        yield HostEvent("Normal", "Healthy", f"the BMC of {name} reports no problem any more")


def _is_clean(host: Object) -> bool:
    status = host.get("status") or {}
    return bool(status.get("available")) and not status.get("dirtyFor") and not host["spec"].get("claimRef")


def _report(host: Object) -> Object:
    return ((host.get("status") or {}).get("report") or {}).get("status") or {}


def _state(host: Object) -> str:
    return str((_report(host).get("provisioning") or {}).get("state") or "")


def _image(seen: Object) -> str:
    url = ((seen.get("provisioning") or {}).get("image") or {}).get("url") or ""
    return f": {scrubbed(url)}" if url else ""


def _holder(claim: Object) -> str:
    return f"Workload {claim.get('namespace')}/{claim.get('name')}"
