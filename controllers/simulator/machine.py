"""Decide one step of one host's life cycle for the simulated operator, as a pure function.

This module contains what BMO does before and around its states: pause, finalizer, credentials,
deletion, detachment. The states themselves are in `states`. The decision is level-triggered: it
depends on the present host and on nothing else that would have to survive a restart.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from apiserver.apis.meta import SecretReference
from apiserver.apis.metal3 import BareMetalHost, BareMetalHostStatus, CredentialsStatus, ErrorType, ProvisionStatus
from apiserver.apis.names import DETACHED, PAUSED, STATUS_ANNOTATION
from controllers.simulator import conditions
from controllers.simulator.preparing import root_device_hints
from controllers.simulator.reconcileinfo import AGAIN, FOREVER, Progress, ReconcileInfo
from controllers.simulator.secrets import Secrets, credentials_problem
from controllers.simulator.settings import Settings
from controllers.simulator.states import HANDLERS

FINALIZER = "baremetalhost.metal3.io"
NODES = uuid.UUID("8c2f6b06-4c43-5b4e-9a37-1d0f2e6f8a55")
DETACHABLE = {"provisioned", "externally provisioned", "ready", "available"}
REGISTRATION: ErrorType = "registration error"
LOST_CAUSE = 3


@dataclass(frozen=True)
class Step:
    """The result of a step.

    Either `metadata_changed` (annotations, finalizers or spec.architecture of `host` differ from
    before; the status does not) or the status may differ. `wake`: the seconds until the next step
    is due; infinite means "after a change". `events`: (reason, message) to publish after the change
    is written."""

    host: BareMetalHost
    metadata_changed: bool
    progress: Progress | None
    wake: float
    events: tuple[tuple[str, str], ...]


def step(host: BareMetalHost, secrets: Secrets, progress: Progress | None, now: float, settings: Settings) -> Step:
    """Return the next step of `host` at `now` (seconds since the epoch).

    `progress` is what the previous step returned for the host, None after a restart. The arguments
    are not changed."""
    if PAUSED in (host.metadata.annotations or {}):
        return Step(host, False, None, FOREVER, ())
    before = host.status
    copy = _copy(host)
    info = ReconcileInfo(copy, secrets, settings, now, progress)
    wake = _decide(info)
    if info.metadata_changed:
        copy.status = before
    elif before is not None or info.state:
        _finish(info, before)
    return Step(copy, info.metadata_changed, info.progress, wake, tuple(info.events))


def _copy(host: BareMetalHost) -> BareMetalHost:
    """Copy the parts of a host that a reconciliation assigns to. A full deep copy would cost more
    than the rest of the reconciliation."""
    status = host.status or BareMetalHostStatus(provisioning=ProvisionStatus(state=""), provisioning_fail_count=0)
    history = status.operation_history.model_copy() if status.operation_history else None
    status = status.model_copy(update={"provisioning": status.provisioning.model_copy(), "operation_history": history})
    return host.model_copy(update={"metadata": host.metadata.model_copy(), "spec": host.spec.model_copy(), "status": status})


def _finish(info: ReconcileInfo, before: BareMetalHostStatus | None) -> None:
    """Derive the conditions, and set the time of the status if it has changed."""
    health, generation = info.annotation(conditions.HEALTH) or "OK", info.host.metadata.generation
    info.status.conditions = conditions.compute(info.status, info.stamp, health=health, generation=generation)
    if info.status.provisioning_fail_count is None:
        info.status.provisioning_fail_count = 0
    if info.status != before:
        info.status.last_updated = info.stamp


def _decide(info: ReconcileInfo) -> float:
    for rule in (_status_annotation, _metadata, _credentials, _deletion, _detachment, _registration):
        wake = rule(info)
        if wake is not None:
            return wake
    handler = HANDLERS.get(info.state)
    return FOREVER if handler is None else handler(info)


def _status_annotation(info: ReconcileInfo) -> float | None:
    """Restore the status of a host that was moved here from its annotation, and remove the
    annotation.

    The status is restored only if the host has none yet."""
    value = info.annotation(STATUS_ANNOTATION)
    if value is None:
        return None
    if info.status.last_updated is None and (restored := _restore(value)) is not None:
        restored.last_updated = restored.last_updated or info.stamp
        info.host.status = restored
        return AGAIN
    info.set_annotation(STATUS_ANNOTATION, None)
    return AGAIN


def _restore(value: str) -> BareMetalHostStatus | None:
    try:
        return BareMetalHostStatus.decode(json.loads(value))
    except ValueError:
        return None


def _metadata(info: ReconcileInfo) -> float | None:
    metadata, found = info.host.metadata, info.status.hardware
    if not info.spec.architecture and found is not None and found.cpu is not None and found.cpu.arch:
        info.spec.architecture = found.cpu.arch
        info.metadata_changed = True
        return AGAIN
    if metadata.deletion_timestamp is None and FINALIZER not in (metadata.finalizers or ()):
        metadata.finalizers = [*(metadata.finalizers or ()), FINALIZER]
        info.metadata_changed = True
        return AGAIN
    return None


def _credentials(info: ReconcileInfo) -> float | None:
    """Report missing credentials: a managed host without credentials can only be deleted."""
    if info.state in {"", "unmanaged"} or info.host.metadata.deletion_timestamp is not None:
        return None
    problem = credentials_problem(info.spec, info.namespace, info.secrets)
    if not problem:
        return None
    if (info.status.error_type, info.status.error_message) != (REGISTRATION, problem):
        info.set_error(REGISTRATION, problem)
    return FOREVER


def _deletion(info: ReconcileInfo) -> float | None:
    """Find the next state for a host that is being deleted."""
    if info.host.metadata.deletion_timestamp is None:
        return None
    if info.state == "deleting":
        return _let_go(info)
    if info.status.operational_status == "detached" or info.annotation(DETACHED) is not None:
        return None if _delays_deletion(info) else info.go("deleting")
    match info.state:
        case "" | "unmanaged" | "registering":
            return info.go("deleting")
        case "provisioning" | "provisioned":
            return info.go("deprovisioning")
        case "deprovisioning" | "powering off before delete":
            lost = info.status.error_type == REGISTRATION and info.status.error_count > LOST_CAUSE
            return info.go("deleting") if lost else None
    return info.go("powering off before delete")


def _let_go(info: ReconcileInfo) -> float:
    finalizers = info.host.metadata.finalizers or []
    if FINALIZER in finalizers:
        info.host.metadata.finalizers = [name for name in finalizers if name != FINALIZER]
        info.metadata_changed = True
    return FOREVER


def _delays_deletion(info: ReconcileInfo) -> bool:
    value = info.annotation(DETACHED)
    if value is None:
        return True
    try:
        arguments = json.loads(value) if value else {}
    except ValueError:
        return False
    return isinstance(arguments, dict) and arguments.get("deleteAction") == "delay"


def _detachment(info: ReconcileInfo) -> float | None:
    status = info.status
    if info.annotation(DETACHED) is not None and info.state in DETACHABLE:
        status.operational_status = "detached"
        return FOREVER
    if status.operational_status == "detached":
        status.operational_status = "error" if status.error_type else "OK"
        return AGAIN
    return None


def _registration(info: ReconcileInfo) -> float | None:
    """Log in to the BMC: for the first time, with changed credentials, or again after a failure."""
    status, bmc = info.status, info.spec.bmc
    secret = info.secrets.get(bmc.credentials_name) if bmc else None
    if info.state in {"", "unmanaged", "deleting"} or bmc is None or secret is None:
        return None
    tried = CredentialsStatus(
        credentials=SecretReference(name=bmc.credentials_name, namespace=info.namespace), credentials_version=secret.version
    )
    if info.state == "registering":
        status.tried_credentials = tried
        message = f"Failed to get power state for node: Unable to connect to {bmc.address} with the credentials of {bmc.credentials_name}"
        remaining = info.work("registering", info.settings.registering, "registration", REGISTRATION, message)
        if remaining is not None:
            return remaining
    elif status.error_type != REGISTRATION and status.good_credentials == tried:
        return None
    if status.good_credentials != tried:
        info.events.append(("BMCAccessValidated", "Verified access to BMC"))
    status.tried_credentials = status.good_credentials = tried
    status.provisioning.id = str(uuid.uuid5(NODES, info.host.metadata.uid or ""))
    status.hardware_profile = status.hardware_profile or info.spec.hardware_profile or "unknown"
    status.provisioning.root_device_hints = status.provisioning.root_device_hints or root_device_hints(info.spec)
    if status.error_type in {None, REGISTRATION}:
        info.clear_error()
    return None if info.state == "registering" else AGAIN
