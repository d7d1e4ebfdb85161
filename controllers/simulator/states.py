"""Implement the provisioning states, as BMO's host_state_machine.go does.

A handler returns the seconds to wait before it is called again (AGAIN, FOREVER).
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.apis.metal3 import Image, ReportedImage
from controllers.simulator import hardware, power
from controllers.simulator.power import bmc_of
from controllers.simulator.preparing import root_device_hints, settings_differ
from controllers.simulator.reconcileinfo import AGAIN, FOREVER, Progress, ReconcileInfo
from controllers.simulator.secrets import image_auth_problem, refused_reference, waiting_for

INSPECT = "inspect.metal3.io"
DELETION_ATTEMPTS = 3
RETRY_LIMIT = "provisioning failed {count} times, retry limit ({limit}) reached; change image or reset provisioningFailCount to retry"


def inspection_disabled(info: ReconcileInfo) -> bool:
    return info.spec.inspection_mode == "disabled" or info.annotation(INSPECT) == "disabled"


def none(info: ReconcileInfo) -> float:
    if info.spec.bmc is not None and (info.spec.bmc.address or info.spec.bmc.credentials_name):
        info.status.operational_status = "OK"
        return info.go("registering")
    if info.state != "unmanaged":
        info.status.operational_status = "discovered"
        info.events.append(("Discovered", "Discovered host with no BMC details"))
        return info.go("unmanaged")
    return FOREVER


def registering(info: ReconcileInfo) -> float:
    # This is reached only after a successful registration.
    info.status.error_count = 0
    if info.spec.externally_provisioned:
        return info.go("externally provisioned")
    return info.go("preparing" if inspection_disabled(info) else "inspecting")


def inspecting(info: ReconcileInfo) -> float:
    if not inspection_disabled(info):
        if info.annotation(INSPECT) is not None:
            info.set_annotation(INSPECT, None)
            return AGAIN
        message = f"Failed to inspect hardware. Reason: timeout reached while inspecting the node at {bmc_of(info)}"
        remaining = info.work("inspecting", info.settings.inspecting, "inspection", "inspection error", message)
        if remaining is not None:
            return remaining
        info.status.hardware = hardware.inspect(info.host)
        info.events.append(("InspectionComplete", "Hardware inspection completed"))
    info.status.error_count = 0
    return info.go("preparing")


def preparing(info: ReconcileInfo) -> float:
    message = "Failed to prepare: node is in clean failed state"
    remaining = info.work("preparing", info.settings.preparing, "preparation", "preparation error", message)
    if remaining is not None:
        return remaining
    provisioning = info.status.provisioning
    provisioning.root_device_hints = root_device_hints(info.spec)
    provisioning.raid = info.spec.raid
    provisioning.firmware = info.spec.firmware
    info.status.error_count = 0
    return info.go("available")


def available(info: ReconcileInfo) -> float:
    status, spec = info.status, info.spec
    if spec.externally_provisioned:
        return info.go("externally provisioned")
    if info.annotation(INSPECT) not in {None, "disabled"}:
        return info.go("inspecting")
    if settings_differ(info.host):
        return info.go("preparing")
    wanted = spec.image is not None and bool(spec.image.url)
    if not wanted:
        status.provisioning_fail_count = 0
        status.last_attempted_image = None
    if not spec.online or not (wanted or spec.custom_deploy):
        if status.error_type == "provisioning error":
            info.clear_error()
        return power.manage(info)
    return _provision(info)


def _provision(info: ReconcileInfo) -> float:
    status, limit = info.status, info.settings.provisioning_retries
    if _shown(info.spec.image) != status.last_attempted_image:
        status.provisioning_fail_count = 0
    failures = status.provisioning_fail_count or 0
    if failures < limit:
        info.clear_error()
        return info.go("provisioning")
    if status.error_type != "provisioning error":
        info.set_error("provisioning error", RETRY_LIMIT.format(count=failures, limit=limit))
    return FOREVER


def provisioning(info: ReconcileInfo) -> float:
    status, spec = info.status, info.spec
    if cancelled(info):
        return _deprovision(info)
    if status.error_type is not None:
        if remaining := info.wait("failed", info.settings.backoff(status.error_count)):
            return remaining
        status.provisioning_fail_count = (status.provisioning_fail_count or 0) + 1
        return _deprovision(info)
    status.last_attempted_image = _shown(spec.image)
    if problem := refused_reference(spec, info.namespace) or image_auth_problem(spec, info.secrets):
        info.set_error("provisioning error", problem)
        return AGAIN
    if missing := waiting_for(spec, info.secrets):
        if info.progress is None:
            info.events.append(("ProvisioningWaiting", missing))
        info.wait("waiting for first-boot data", 0)
        return FOREVER
    return _write_image(info)


def _shown(image: Image | None) -> ReportedImage | None:
    """Return the image as the status reports it."""
    return ReportedImage.decode(image.encode()) if image is not None else None


def _write_image(info: ReconcileInfo) -> float:
    status, spec = info.status, info.spec
    message = "Image provisioning failed: Deploy step deploy.write_image failed on node: Error downloading image"
    remaining = info.work("provisioning", info.settings.provisioning, "provisioning", "provisioning error", message)
    if remaining is not None:
        return remaining
    if power.clear_reboots(info):
        return AGAIN
    status.provisioning.image = _shown(spec.image)
    status.provisioning.custom_deploy = spec.custom_deploy
    status.error_count = 0
    status.provisioning_fail_count = 0
    info.events.append(("ProvisioningComplete", f"Image provisioning completed for {_what(info)}"))
    info.go("provisioned")
    info.progress = Progress("booted", info.now)
    return AGAIN


def provisioned(info: ReconcileInfo) -> float:
    if cancelled(info):
        return _deprovision(info)
    if info.progress is not None and info.progress.activity == "booted":
        # The hardware has been running since the image was written. BMO notices this when it first
        # checks.
        info.progress = None
        info.status.powered_on = True
        return AGAIN
    return power.manage(info)


def externally_provisioned(info: ReconcileInfo) -> float:
    if info.spec.externally_provisioned:
        return power.manage(info)
    info.status.provisioning.image = _shown(info.spec.image)
    info.status.provisioning.custom_deploy = info.spec.custom_deploy
    return info.go("provisioned")


def cancelled(info: ReconcileInfo) -> bool:
    """Return whether what is (or is being) provisioned is no longer wanted."""
    spec, now = info.spec, info.status.provisioning
    wanted_url = spec.image.url if spec.image else ""
    url = now.image.url if now.image else ""
    method = now.custom_deploy.method if now.custom_deploy else ""
    if spec.custom_deploy is not None:
        return bool(method and method != spec.custom_deploy.method) or bool(url and wanted_url != url)
    return bool(method) or not wanted_url or bool(url and wanted_url != url)


def _deprovision(info: ReconcileInfo) -> float:
    info.clear_error()
    return info.go("deprovisioning")


def deprovisioning(info: ReconcileInfo) -> float:
    deleting = info.host.metadata.deletion_timestamp is not None
    if deleting and _gives_up(info):
        return info.go("powering off before delete")
    cleans = info.spec.automated_cleaning_mode != "disabled"
    seconds = info.settings.deprovisioning + (info.settings.cleaning if cleans else 0)
    message = f"Cleaning failed: Clean step deploy.erase_devices_metadata failed on node at {bmc_of(info)}"
    remaining = info.work("deprovisioning", seconds, "deprovisioning", "provisioning error", message)
    if remaining is not None:
        return remaining
    if power.clear_reboots(info, suffixed=not info.settings.keep_suffixed_reboots):
        return AGAIN
    provisioning = info.status.provisioning
    provisioning.image = provisioning.custom_deploy = provisioning.firmware = None
    provisioning.root_device_hints = root_device_hints(info.spec)
    info.status.powered_on = False
    info.status.error_count = 0
    info.events.append(("DeprovisioningComplete", "Image deprovisioning completed"))
    return info.go("powering off before delete" if deleting else "available")


def powering_off_before_delete(info: ReconcileInfo) -> float:
    if not _gives_up(info):
        remaining = power.switch_off(info)
        if remaining is not None:
            return remaining
        info.status.error_count = 0
        info.status.powered_on = False
    return info.go("deleting")


def _gives_up(info: ReconcileInfo) -> bool:
    """Return whether a host that is being deleted continues despite repeated failures."""
    return info.status.error_type is not None and info.status.error_count > DELETION_ATTEMPTS


def _what(info: ReconcileInfo) -> str:
    return info.spec.image.url if info.spec.image else info.spec.custom_deploy.method if info.spec.custom_deploy else "nothing"


HANDLERS: dict[str, Callable[[ReconcileInfo], float]] = {
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
