"""Decide which changes of a Workload's status.binding are allowed, and fill it in for earlier
versions.

The binding itself sets the state Assumed (see claims.bound), and unbinding removes the field.
"""

from __future__ import annotations

from typing import Any

from apiserver.apis.status import cause
from apiserver.apis.workload import binding_state, earlier_binding_state


def with_binding(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the stored Workload with status.binding, which earlier versions did not store."""
    status = workload.get("status") or {}
    if "binding" in status or (state := binding_state(status)) is None:
        return workload
    return {**workload, "status": {**status, "binding": {"state": state}}}


def keep_binding(before: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """Return the status to store, with the host, binding and lease of the stored one.

    Only the state of the binding may differ, and only where there is a host. Users that may write a
    status may remove the lease, as `move` does."""
    leased = "lease" in status
    status = {k: v for k, v in status.items() if k not in ("host", "lease")}
    if "host" not in before:
        status.pop("binding", None)
        return status
    kept: dict[str, Any] = {field: before[field] for field in ("host", *(("lease",) if leased else ())) if field in before}
    return {**status, **kept, "binding": status.get("binding") or before["binding"]}


def with_state_of_earlier_controllers(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return the Workload with the binding's state that a write of earlier controllers implies.

    During an upgrade, controllers of an earlier version may run beside this server. They change
    only the phase and the condition Bound, and leave the state Assumed."""
    status = new.get("status") or {}
    if any(binding_state(obj.get("status")) != "Assumed" for obj in (old or {}, new)):
        return new
    state = earlier_binding_state(status)
    refused = any((item["type"], item["status"]) == ("Bound", "False") for item in status.get("conditions") or ())
    if state == "Assumed" or (state == "Confirmed" and refused):
        return new
    return {**new, "status": {**status, "binding": {"state": state}}}


def binding_causes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, str]]:
    """Return causes for a state that cannot follow the stored one.

    A confirmed host may run the tenant's system, so it is never given up for another one."""
    before, after = (binding_state(obj.get("status")) for obj in (old, new))
    if before in (after, "Assumed", None):
        return []
    message = f'Invalid value: "{after}": the state stays {before} until the Workload has no host'
    return [cause("FieldValueInvalid", message, "status.binding.state")]
