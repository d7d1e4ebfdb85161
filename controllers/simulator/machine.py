"""Decide one step of one host's life cycle for the simulated operator, as a pure function.

This module contains what BMO does before and around its states: pause, finalizer, credentials,
deletion, detachment. The states themselves are in `states`. The decision is level-triggered: it
depends on the present host and on nothing else that would have to survive a restart.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apiserver.apis.meta import SecretReference
from apiserver.apis.metal3 import BareMetalHost, BareMetalHostStatus, CredentialsStatus, ProvisionStatus
from apiserver.apis.names import DETACHED, PAUSED, STATUS_ANNOTATION
from controllers.simulator import conditions
from controllers.simulator.secrets import credentials_problem
from controllers.simulator.settling import root_device_hints
from controllers.simulator.states import HANDLERS
from controllers.simulator.turn import AGAIN, FOREVER, Progress, Turn

if TYPE_CHECKING:
    from apiserver.apis.metal3 import ErrorType
    from controllers.simulator.secrets import Secrets
    from controllers.simulator.settings import Settings

__all__ = ["FINALIZER", "Step", "step"]

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
    turn = Turn(copy, secrets, settings, now, progress)
    wake = _decide(turn)
    if turn.metadata_changed:
        copy.status = before
    elif before is not None or turn.state:
        _finish(turn, before)
    return Step(copy, turn.metadata_changed, turn.progress, wake, tuple(turn.events))


def _copy(host: BareMetalHost) -> BareMetalHost:
    """Copy the parts of a host that a turn assigns to. A full deep copy would cost more than all
    the rest."""
    status = host.status or BareMetalHostStatus(provisioning=ProvisionStatus(state=""), provisioning_fail_count=0)
    history = status.operation_history.model_copy() if status.operation_history else None
    status = status.model_copy(update={"provisioning": status.provisioning.model_copy(), "operation_history": history})
    return host.model_copy(update={"metadata": host.metadata.model_copy(), "spec": host.spec.model_copy(), "status": status})


def _finish(turn: Turn, before: BareMetalHostStatus | None) -> None:
    """Derive the conditions, and set the time of the status if it has changed."""
    turn.status.conditions = conditions.compute(turn.status, turn.stamp)
    if turn.status.provisioning_fail_count is None:
        turn.status.provisioning_fail_count = 0
    if turn.status != before:
        turn.status.last_updated = turn.stamp


def _decide(turn: Turn) -> float:
    for rule in (_status_annotation, _metadata, _credentials, _deletion, _detachment, _registration):
        wake = rule(turn)
        if wake is not None:
            return wake
    handler = HANDLERS.get(turn.state)
    return FOREVER if handler is None else handler(turn)


def _status_annotation(turn: Turn) -> float | None:
    """Restore the status of a host that was moved here from its annotation, and remove the
    annotation.

    The status is restored only if the host has none yet."""
    value = turn.annotation(STATUS_ANNOTATION)
    if value is None:
        return None
    if turn.status.last_updated is None and (restored := _restore(value)) is not None:
        restored.last_updated = restored.last_updated or turn.stamp
        turn.host.status = restored
        return AGAIN
    turn.set_annotation(STATUS_ANNOTATION, None)
    return AGAIN


def _restore(value: str) -> BareMetalHostStatus | None:
    try:
        return BareMetalHostStatus.decode(json.loads(value))
    except ValueError:
        return None


def _metadata(turn: Turn) -> float | None:
    metadata, found = turn.host.metadata, turn.status.hardware
    if not turn.spec.architecture and found is not None and found.cpu is not None and found.cpu.arch:
        turn.spec.architecture = found.cpu.arch
        turn.metadata_changed = True
        return AGAIN
    if metadata.deletion_timestamp is None and FINALIZER not in (metadata.finalizers or ()):
        metadata.finalizers = [*(metadata.finalizers or ()), FINALIZER]
        turn.metadata_changed = True
        return AGAIN
    return None


def _credentials(turn: Turn) -> float | None:
    """Report missing credentials: a managed host without credentials can only be deleted."""
    if turn.state in {"", "unmanaged"} or turn.host.metadata.deletion_timestamp is not None:
        return None
    problem = credentials_problem(turn.spec, turn.namespace, turn.secrets)
    if not problem:
        return None
    if (turn.status.error_type, turn.status.error_message) != (REGISTRATION, problem):
        turn.set_error(REGISTRATION, problem)
    return FOREVER


def _deletion(turn: Turn) -> float | None:
    """Find the next state for a host that is being deleted."""
    if turn.host.metadata.deletion_timestamp is None:
        return None
    if turn.state == "deleting":
        return _let_go(turn)
    if turn.status.operational_status == "detached" or turn.annotation(DETACHED) is not None:
        return None if _delays_deletion(turn) else turn.go("deleting")
    match turn.state:
        case "" | "unmanaged" | "registering":
            return turn.go("deleting")
        case "provisioning" | "provisioned":
            return turn.go("deprovisioning")
        case "deprovisioning" | "powering off before delete":
            lost = turn.status.error_type == REGISTRATION and turn.status.error_count > LOST_CAUSE
            return turn.go("deleting") if lost else None
    return turn.go("powering off before delete")


def _let_go(turn: Turn) -> float:
    finalizers = turn.host.metadata.finalizers or []
    if FINALIZER in finalizers:
        turn.host.metadata.finalizers = [name for name in finalizers if name != FINALIZER]
        turn.metadata_changed = True
    return FOREVER


def _delays_deletion(turn: Turn) -> bool:
    value = turn.annotation(DETACHED)
    if value is None:
        return True
    try:
        arguments = json.loads(value) if value else {}
    except ValueError:
        return False
    return isinstance(arguments, dict) and arguments.get("deleteAction") == "delay"


def _detachment(turn: Turn) -> float | None:
    status = turn.status
    if turn.annotation(DETACHED) is not None and turn.state in DETACHABLE:
        status.operational_status = "detached"
        return FOREVER
    if status.operational_status == "detached":
        status.operational_status = "error" if status.error_type else "OK"
        return AGAIN
    return None


def _registration(turn: Turn) -> float | None:
    """Log in to the BMC: for the first time, with changed credentials, or again after a failure."""
    status, bmc = turn.status, turn.spec.bmc
    secret = turn.secrets.get(bmc.credentials_name) if bmc else None
    if turn.state in {"", "unmanaged", "deleting"} or bmc is None or secret is None:
        return None
    tried = CredentialsStatus(
        credentials=SecretReference(name=bmc.credentials_name, namespace=turn.namespace), credentials_version=secret.version
    )
    if turn.state == "registering":
        status.tried_credentials = tried
        message = f"Failed to get power state for node: Unable to connect to {bmc.address} with the credentials of {bmc.credentials_name}"
        remaining = turn.work("registering", turn.settings.registering, "registration", REGISTRATION, message)
        if remaining is not None:
            return remaining
    elif status.error_type != REGISTRATION and status.good_credentials == tried:
        return None
    if status.good_credentials != tried:
        turn.events.append(("BMCAccessValidated", "Verified access to BMC"))
    status.tried_credentials = status.good_credentials = tried
    status.provisioning.id = str(uuid.uuid5(NODES, turn.host.metadata.uid or ""))
    status.hardware_profile = status.hardware_profile or turn.spec.hardware_profile or "unknown"
    status.provisioning.root_device_hints = status.provisioning.root_device_hints or root_device_hints(turn.spec)
    if status.error_type in {None, REGISTRATION}:
        turn.clear_error()
    return None if turn.state == "registering" else AGAIN
