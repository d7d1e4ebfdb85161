"""Implement the provisioning states, as BMO's host_state_machine.go does.

A handler returns the seconds to wait before it is called again (turn.AGAIN, turn.FOREVER).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.metal3 import ReportedImage
from controllers.simulator import hardware, power
from controllers.simulator.secrets import image_auth_problem, refused_reference, waiting_for
from controllers.simulator.settling import root_device_hints, settings_differ
from controllers.simulator.turn import AGAIN, FOREVER, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.apis.metal3 import Image
    from controllers.simulator.turn import Turn

__all__ = ["HANDLERS", "inspection_disabled"]

INSPECT = "inspect.metal3.io"
DELETION_ATTEMPTS = 3
RETRY_LIMIT = "provisioning failed {count} times, retry limit ({limit}) reached; change image or reset provisioningFailCount to retry"


def inspection_disabled(turn: Turn) -> bool:
    return turn.spec.inspection_mode == "disabled" or turn.annotation(INSPECT) == "disabled"


def none(turn: Turn) -> float:
    if turn.spec.bmc is not None and (turn.spec.bmc.address or turn.spec.bmc.credentials_name):
        turn.status.operational_status = "OK"
        return turn.go("registering")
    if turn.state != "unmanaged":
        turn.status.operational_status = "discovered"
        turn.events.append(("Discovered", "Discovered host with no BMC details"))
        return turn.go("unmanaged")
    return FOREVER


def registering(turn: Turn) -> float:
    # This is reached only after a successful registration.
    turn.status.error_count = 0
    if turn.spec.externally_provisioned:
        return turn.go("externally provisioned")
    return turn.go("preparing" if inspection_disabled(turn) else "inspecting")


def inspecting(turn: Turn) -> float:
    if not inspection_disabled(turn):
        if turn.annotation(INSPECT) is not None:
            turn.set_annotation(INSPECT, None)
            return AGAIN
        message = f"Failed to inspect hardware. Reason: timeout reached while inspecting the node at {_bmc(turn)}"
        remaining = turn.work("inspecting", turn.settings.inspecting, "inspection", "inspection error", message)
        if remaining is not None:
            return remaining
        turn.status.hardware = hardware.inspect(turn.host)
        turn.events.append(("InspectionComplete", "Hardware inspection completed"))
    turn.status.error_count = 0
    return turn.go("preparing")


def preparing(turn: Turn) -> float:
    message = "Failed to prepare: node is in clean failed state"
    remaining = turn.work("preparing", turn.settings.preparing, "preparation", "preparation error", message)
    if remaining is not None:
        return remaining
    provisioning = turn.status.provisioning
    provisioning.root_device_hints = root_device_hints(turn.spec)
    provisioning.raid = turn.spec.raid
    provisioning.firmware = turn.spec.firmware
    turn.status.error_count = 0
    return turn.go("available")


def available(turn: Turn) -> float:
    status, spec = turn.status, turn.spec
    if spec.externally_provisioned:
        return turn.go("externally provisioned")
    if turn.annotation(INSPECT) not in {None, "disabled"}:
        return turn.go("inspecting")
    if settings_differ(turn.host):
        return turn.go("preparing")
    wanted = spec.image is not None and bool(spec.image.url)
    if not wanted:
        status.provisioning_fail_count = 0
        status.last_attempted_image = None
    if not spec.online or not (wanted or spec.custom_deploy):
        if status.error_type == "provisioning error":
            turn.clear_error()
        return power.manage(turn)
    return _provision(turn)


def _provision(turn: Turn) -> float:
    status, limit = turn.status, turn.settings.provisioning_retries
    if _shown(turn.spec.image) != status.last_attempted_image:
        status.provisioning_fail_count = 0
    failures = status.provisioning_fail_count or 0
    if failures < limit:
        turn.clear_error()
        return turn.go("provisioning")
    if status.error_type != "provisioning error":
        turn.set_error("provisioning error", RETRY_LIMIT.format(count=failures, limit=limit))
    return FOREVER


def provisioning(turn: Turn) -> float:
    status, spec = turn.status, turn.spec
    if cancelled(turn):
        return _deprovision(turn)
    if status.error_type is not None:
        if remaining := turn.wait("failed", turn.settings.backoff(status.error_count)):
            return remaining
        status.provisioning_fail_count = (status.provisioning_fail_count or 0) + 1
        return _deprovision(turn)
    status.last_attempted_image = _shown(spec.image)
    if problem := refused_reference(spec, turn.namespace) or image_auth_problem(spec, turn.secrets):
        turn.set_error("provisioning error", problem)
        return AGAIN
    if missing := waiting_for(spec, turn.secrets):
        if turn.progress is None:
            turn.events.append(("ProvisioningWaiting", missing))
        turn.wait("waiting for first-boot data", 0)
        return FOREVER
    return _write_image(turn)


def _shown(image: Image | None) -> ReportedImage | None:
    """Return the image as the status reports it."""
    return ReportedImage.decode(image.encode()) if image is not None else None


def _write_image(turn: Turn) -> float:
    status, spec = turn.status, turn.spec
    message = "Image provisioning failed: Deploy step deploy.write_image failed on node: Error downloading image"
    remaining = turn.work("provisioning", turn.settings.provisioning, "provisioning", "provisioning error", message)
    if remaining is not None:
        return remaining
    if power.clear_reboots(turn):
        return AGAIN
    status.provisioning.image = _shown(spec.image)
    status.provisioning.custom_deploy = spec.custom_deploy
    status.error_count = 0
    status.provisioning_fail_count = 0
    turn.events.append(("ProvisioningComplete", f"Image provisioning completed for {_what(turn)}"))
    turn.go("provisioned")
    turn.progress = Progress("booted", turn.now)
    return AGAIN


def provisioned(turn: Turn) -> float:
    if cancelled(turn):
        return _deprovision(turn)
    if turn.progress is not None and turn.progress.activity == "booted":
        # The hardware has been running since the image was written. BMO notices this when it first
        # checks.
        turn.progress = None
        turn.status.powered_on = True
        return AGAIN
    return power.manage(turn)


def externally_provisioned(turn: Turn) -> float:
    if turn.spec.externally_provisioned:
        return power.manage(turn)
    turn.status.provisioning.image = _shown(turn.spec.image)
    turn.status.provisioning.custom_deploy = turn.spec.custom_deploy
    return turn.go("provisioned")


def cancelled(turn: Turn) -> bool:
    """Return whether what is (or is being) provisioned is no longer wanted."""
    spec, now = turn.spec, turn.status.provisioning
    wanted_url = spec.image.url if spec.image else ""
    url = now.image.url if now.image else ""
    method = now.custom_deploy.method if now.custom_deploy else ""
    if spec.custom_deploy is not None:
        return bool(method and method != spec.custom_deploy.method) or bool(url and wanted_url != url)
    return bool(method) or not wanted_url or bool(url and wanted_url != url)


def _deprovision(turn: Turn) -> float:
    turn.clear_error()
    return turn.go("deprovisioning")


def deprovisioning(turn: Turn) -> float:
    deleting = turn.host.metadata.deletion_timestamp is not None
    if deleting and _gives_up(turn):
        return turn.go("powering off before delete")
    cleans = turn.spec.automated_cleaning_mode != "disabled"
    seconds = turn.settings.deprovisioning + (turn.settings.cleaning if cleans else 0)
    message = f"Cleaning failed: Clean step deploy.erase_devices_metadata failed on node at {_bmc(turn)}"
    remaining = turn.work("deprovisioning", seconds, "deprovisioning", "provisioning error", message)
    if remaining is not None:
        return remaining
    if power.clear_reboots(turn, suffixed=not turn.settings.keep_suffixed_reboots):
        return AGAIN
    provisioning = turn.status.provisioning
    provisioning.image = provisioning.custom_deploy = provisioning.firmware = None
    provisioning.root_device_hints = root_device_hints(turn.spec)
    turn.status.powered_on = False
    turn.status.error_count = 0
    turn.events.append(("DeprovisioningComplete", "Image deprovisioning completed"))
    return turn.go("powering off before delete" if deleting else "available")


def powering_off_before_delete(turn: Turn) -> float:
    if not _gives_up(turn):
        remaining = power.switch_off(turn)
        if remaining is not None:
            return remaining
        turn.status.error_count = 0
        turn.status.powered_on = False
    return turn.go("deleting")


def _gives_up(turn: Turn) -> bool:
    """Return whether a host that is being deleted continues despite repeated failures."""
    return turn.status.error_type is not None and turn.status.error_count > DELETION_ATTEMPTS


def _what(turn: Turn) -> str:
    return turn.spec.image.url if turn.spec.image else turn.spec.custom_deploy.method if turn.spec.custom_deploy else "nothing"


def _bmc(turn: Turn) -> str:
    return turn.spec.bmc.address if turn.spec.bmc else "the BMC"


HANDLERS: dict[str, Callable[[Turn], float]] = {
    "": none,
    "unmanaged": none,
    "registering": registering,
    "inspecting": inspecting,
    "match profile": preparing,
    "preparing": preparing,
    "ready": available,
    "available": available,
    "provisioning": provisioning,
    "provisioned": provisioned,
    "externally provisioned": externally_provisioned,
    "deprovisioning": deprovisioning,
    "powering off before delete": powering_off_before_delete,
}
