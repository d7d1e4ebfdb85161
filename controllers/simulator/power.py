"""Control power and reboots of a host in a steady state, as BMO's manageHostPower does."""

from __future__ import annotations

import json

from apiserver.apis.metal3 import ErrorType
from apiserver.apis.names import REBOOT
from controllers.simulator.reconcileinfo import AGAIN, FOREVER, ReconcileInfo

ERROR: ErrorType = "power management error"


def manage(info: ReconcileInfo) -> float:
    """Set the power as `online` and the reboot annotations require."""
    status = info.status
    if not status.powered_on and info.annotation(REBOOT) is not None:
        info.set_annotation(REBOOT, None)
        return AGAIN
    asked, hard = _reboot(info)
    wanted = info.spec.online and not asked
    if status.powered_on == wanted:
        return _steady(info)
    if not wanted and info.spec.disable_power_off:
        return _reboot_in_place(info)
    activity = "powering on" if wanted else "powering off hard" if hard else "powering off"
    message = f"failed to {activity} node: {bmc_of(info)} did not answer"
    remaining = info.work(activity, info.settings.power, "power", ERROR, message)
    if remaining is not None:
        return remaining
    status.powered_on = wanted
    status.error_count = 0
    return AGAIN


def switch_off(info: ReconcileInfo) -> float | None:
    """Power off before deletion. Return None when the host is off."""
    if info.spec.disable_power_off or not info.status.powered_on:
        return None
    message = f"failed to power off node before deletion: {bmc_of(info)} did not answer"
    return info.work("powering off hard", info.settings.power, "power", ERROR, message)


def clear_reboots(info: ReconcileInfo, *, suffixed: bool = False) -> bool:
    """Remove the plain reboot annotation and, if `suffixed`, those with a suffix.

    Returns whether there was one."""
    wanted = [key for key in info.host.metadata.annotations or {} if key == REBOOT or (suffixed and key.startswith(f"{REBOOT}/"))]
    for key in wanted:
        info.set_annotation(key, None)
    return bool(wanted)


def _reboot(info: ReconcileInfo) -> tuple[bool, bool]:
    """Return whether a reboot is requested, for which the host is powered off, and whether it is a
    hard reboot."""
    provisioned = info.state in {"provisioned", "externally provisioned"}
    arguments = [
        _arguments(value) for key, value in (info.host.metadata.annotations or {}).items() if key == REBOOT or key.startswith(f"{REBOOT}/")
    ]
    # In states other than the provisioned ones, only a forced reboot happens.
    arguments = [found for found in arguments if provisioned or found.get("force") is True]
    return bool(arguments), any(found.get("mode") == "hard" for found in arguments)


def _arguments(value: str) -> dict[str, object]:
    try:
        found = json.loads(value) if value else {}
    except ValueError:
        found = {}  # BMO treats an unreadable value as a soft reboot
    return found if isinstance(found, dict) else {}


def _steady(info: ReconcileInfo) -> float:
    status = info.status
    if status.error_type == ERROR:
        info.clear_error()
    if status.error_type is None:
        status.error_count = 0
    return FOREVER


def _reboot_in_place(info: ReconcileInfo) -> float:
    """Restart the host without powering it off, because of disablePowerOff. It stays on."""
    if info.annotation(REBOOT) is not None:
        info.set_annotation(REBOOT, None)
        return AGAIN
    return FOREVER


def bmc_of(info: ReconcileInfo) -> str:
    return info.spec.bmc.address if info.spec.bmc else "the BMC"
