"""Compute a Workload's status from the Workload, the result of the last attempt, and its host."""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.apis.hostconditions import HEALTHY, PROVISIONED, gave_up
from apiserver.apis.metal3 import EMPTYING_STATES
from apiserver.apis.quantity import MI, human
from apiserver.apis.workload import IDLE_PHASES, RAN_PHASES, binding_state
from apiserver.client.objects import Object
from controllers.providers.base import Outcome
from controllers.runtime.conditions import condition, find_condition, is_true
from controllers.workload.stalled import workload_conditions

MOST_FAILURES = 1000
"""The largest number of failures that a message states."""
SHOWN = 256
"""The most characters of a URL or checksum that a message repeats."""
WAITS = ("Deprovisioning", "Provisioning", "PowerChanging")
"""The reasons that mean that the host is working on what was requested."""
PROVISIONING_FAILED = "ProvisioningFailed"
"""The reason of a failed installation, also while it is retried."""
RETRY_LIMIT = "RetryLimitReached"
"""The reason of a failed installation that is not retried."""


def runs_something(workload: Object) -> bool:
    """Return whether the Workload runs something. Otherwise it only reserves a host."""
    return bool(workload["spec"].get("image") or workload["spec"].get("customDeploy"))


def update_refused(workload: Object, seen: Object) -> Outcome | None:
    """Return why the host keeps what it runs although the Workload has changed, or None.

    `seen` is the host's status in HostReport form. Until something runs there is nothing to
    keep."""
    provisioning = seen.get("provisioning") or {}
    runs = provisioning.get("state") == "provisioned" and (provisioning.get("image") or provisioning.get("customDeploy"))
    if not runs or not runs_something(workload) or workload["spec"].get("updatePolicy") == "Recreate":
        return None
    return None if _same_deployment(workload["spec"], provisioning) else Outcome(False, "UpdateRefused", _KEPT)


def has_deployment(workload: Object, seen: Object) -> bool:
    """Return whether the host was already told to run what the Workload requests.

    `seen` is the host's status in HostReport form."""
    return runs_something(workload) and _same_deployment(workload["spec"], seen.get("provisioning") or {})


_KEPT = (
    "the host runs what was asked for before, and spec.updatePolicy is OnDelete: set spec.image (or customDeploy) back to keep what runs, "
    "or set spec.updatePolicy to Recreate, which wipes the host and installs what spec asks for"
)


def must_announce(workload: Object) -> bool:
    """Return whether the phase must leave Pending and Bound before the first write to the real
    host.

    The server derives what the view shows from the phase."""
    return runs_something(workload) and phase_of(workload) in IDLE_PHASES


def phase_of(workload: Object) -> str | None:
    """Return the phase as last written."""
    phase: str | None = (workload.get("status") or {}).get("phase")
    return phase


def starting_status(workload: Object, now: str, *, runs: bool = False) -> Object:
    """Return the status that announces the first write to the real host.

    `runs` says that the host is taken over, and runs already what the Workload asks for."""
    message = (
        "the host runs this already, and is being taken over" if runs else "the installation begins: spec is being written to the host"
    )
    ready = Outcome(False, "Provisioning", message)
    status = {
        "phase": "Provisioning",
        "observedGeneration": _generation(workload),
        "conditions": _conditions(workload, now, {"Ready": ready}),
    }
    return _complete(workload, status, now)


def bound_status(
    workload: Object,
    bound: Outcome,
    synchronized: Outcome,
    observed: Object | None,
    *,
    empty: bool,
    now: str,
    stalled: str = "",
    confirmed: bool = False,
) -> Object:
    """Return the status of a Workload that has a host.

    `observed` is the host's status in HostReport form. `empty` is true if the host was seen with
    nothing on it. `stalled` says why the host does not follow its settings. `confirmed` is true if
    the source has confirmed the claim."""
    seen = observed or {}
    provisioned = _unless_stalled(_provisioned(workload, seen), stalled)
    phase = _phase(workload, bound, synchronized, seen, provisioned=provisioned.status is True, empty=empty)
    ready = _unless_stalled(_ready(workload, bound, synchronized, provisioned, seen, phase), stalled)
    outcomes = {"Bound": bound, "Synchronized": synchronized, "Provisioned": provisioned, "Ready": ready}
    outcomes |= _health(workload, bound, seen)
    status: Object = {
        "phase": phase,
        "observedGeneration": _generation(workload),
        "conditions": _conditions(workload, now, outcomes),
        "hardware": _hardware(seen),
        "addresses": _addresses(seen),
        "poweredOn": bool(seen.get("poweredOn")) if observed else None,
        "errorMessage": seen.get("errorMessage") or None,
    }
    if confirmed and binding_state(workload.get("status")) == "Assumed":
        status["binding"] = {"state": "Confirmed"}
    return _complete(workload, status, now)


def seems_lost(workload: Object, reported: Object | None) -> bool:
    """Return whether the host's report lacks what the Workload ran there.

    Only the source knows the state of the machine. The status may be the only record that the
    Workload ran, so it must stay until the source has answered."""
    state = ((reported or {}).get("provisioning") or {}).get("state")
    status = workload.get("status") or {}
    ran = status.get("phase") in RAN_PHASES or is_true(status.get("conditions"), "Provisioned")
    return ran and runs_something(workload) and state != "provisioned"


def unasked_status(workload: Object, synchronized: Outcome, now: str) -> Object:
    """Return the status of a Workload whose source does not answer: unchanged, except that the
    conditions Synchronized and Ready give the reason."""
    return _complete(workload, {"conditions": _conditions(workload, now, {"Synchronized": synchronized, "Ready": synchronized})}, now)


def releasing_status(workload: Object, message: str, now: str) -> Object:
    """Return the status of a Workload that is being deleted and still has a host."""
    waits = Outcome(False, "Releasing", message)
    conditions = _conditions(workload, now, {"Ready": waits}, final=False)
    return _complete(workload, {"phase": "Deprovisioning", "conditions": conditions}, now)


def lost_status(workload: Object, now: str) -> Object:
    """Return the status of a Workload whose host was taken back. It says what to do."""
    gone = Outcome(False, "Lost", "its host was taken back: delete this Workload and create it again to get another one")
    status = {"observedGeneration": _generation(workload), "conditions": _conditions(workload, now, {"Provisioned": gone, "Ready": gone})}
    return _complete(workload, status, now)


def unknown_source(reason: str = "SourceUnavailable") -> Outcome:
    """Return the outcome for a source that does not answer. Details are left out, because they are
    for the owner only."""
    return Outcome(False, reason, "the source of machines does not answer now: what you ask for is kept, and done as soon as it does")


def _unless_stalled(outcome: Outcome, stalled: str) -> Outcome:
    """Return HostStalled instead of an outcome that waits for a host which does not change. Other
    outcomes stay."""
    return Outcome(False, "HostStalled", stalled) if stalled and outcome.reason in WAITS else outcome


def class_gone(name: str) -> Outcome:
    """Return the outcome for a Workload whose class was deleted by force."""
    message = (
        f'the WorkloadClass "{name}" was deleted: ask its owner to create it again, or to free the host (clear spec.claimRef of its Host)'
    )
    return Outcome(False, "ClassGone", message)


def _provisioned(workload: Object, seen: Object) -> Outcome:
    provisioning = seen.get("provisioning") or {}
    state, spec = provisioning.get("state") or "unknown", workload["spec"]
    if not runs_something(workload):
        if state in {"available", "ready"}:
            return Outcome(False, "NothingToRun", "spec has neither image nor customDeploy: the host is reserved")
        return Outcome(False, "Deprovisioning", f"what was on the host is being removed: it is {state}")
    if state == "provisioned" and _same_deployment(spec, provisioning):
        return Outcome(True, "Provisioned", "the host runs what was asked for")
    if update_refused(workload, seen):
        return Outcome(True, "Outdated", "the host runs what was asked for before the last change: see condition Synchronized")
    if seen.get("errorMessage"):
        return _failed(workload, seen)
    if (failure := _last_failure(workload)) is not None:
        return failure
    if not spec.get("online", True) and state in {"available", "ready"}:
        return Outcome(False, "PoweredOff", "spec.online is false: it is provisioned when you set it to true")
    return Outcome(False, "Provisioning", f"the host is {state}")


def _failed(workload: Object, seen: Object) -> Outcome:
    """Return what the error of the host means for the Workload."""
    if gave_up(seen) and _is_current(find_condition(seen.get("conditions"), PROVISIONED)):
        return Outcome(False, RETRY_LIMIT, _with_details(seen["errorMessage"], _what(workload, seen)))
    state = (seen.get("provisioning") or {}).get("state")
    reason = PROVISIONING_FAILED if seen.get("errorType") == "provisioning error" and state not in EMPTYING_STATES else "HostError"
    return Outcome(False, reason, _with_details(seen["errorMessage"], _again(seen), _what(workload, seen)))


def _with_details(sentence: str, *details: str) -> str:
    text = ": ".join(detail for detail in details if detail)
    return f"{sentence} ({text})" if text else sentence


def _again(seen: Object) -> str:
    """Return a phrase about the number of failures, unless the error message contains one."""
    if "tried again" in seen["errorMessage"]:
        return ""
    failed = int(seen.get("errorCount") or 0)
    return f"it has failed {min(failed, MOST_FAILURES)} times in a row, and is tried again" if failed > 1 else "it is tried again"


def _is_current(found: Object | None) -> bool:
    """Return whether the condition is about the present spec of the real host.

    Such a condition in a report has no observedGeneration."""
    return found is not None and found.get("observedGeneration") is None


def _health(workload: Object, bound: Outcome, seen: Object) -> dict[str, Outcome]:
    """Return the condition Healthy, if the host's source has ever reported the health."""
    found = find_condition(seen.get("conditions"), HEALTHY)
    if found is not None and bound.status is True:
        truth = {"True": True, "False": False}.get(found["status"])
        return {HEALTHY: Outcome(truth, found["reason"], found["message"] or _HEALTH[truth])}
    if find_condition((workload.get("status") or {}).get("conditions"), HEALTHY) is None:
        return {}
    return {HEALTHY: Outcome(None, "Unknown", _HEALTH[None])}


_HEALTH = {
    True: "the machine's own controller reports no problem",
    False: "the machine's own controller reports a problem: ask the hardware's owner",
    None: "the machine's health is not known",
}


def _last_failure(workload: Object) -> Outcome | None:
    """Return the failure of the last installation, if nothing else has been requested since.

    BMO clears the error when it begins to retry, which takes many minutes. Without this, the tenant
    would only read that the host is being deprovisioned."""
    before = find_condition((workload.get("status") or {}).get("conditions"), "Provisioned")
    if before is None or before["reason"] != PROVISIONING_FAILED or before.get("observedGeneration") != _generation(workload):
        return None
    return Outcome(False, PROVISIONING_FAILED, before["message"])


def _what(workload: Object, seen: Object) -> str:
    """Return what could not be installed, in the tenant's own words only."""
    image = workload["spec"].get("image")
    if not image or seen.get("errorType") != "provisioning error":
        return ""
    checksum = f", checksum {image['checksum'][:SHOWN]}" if image.get("checksum") else ""
    return f"image {image['url'][:SHOWN]}{checksum}"


def _same_deployment(spec: Object, provisioning: Object) -> bool:
    """Return whether the host has what is requested. As in BMO, an image is identified by its
    URL."""
    if spec.get("image"):
        return bool((provisioning.get("image") or {}).get("url") == spec["image"]["url"])
    return bool((provisioning.get("customDeploy") or {}).get("method") == spec["customDeploy"]["method"])


def _phase(workload: Object, bound: Outcome, synchronized: Outcome, seen: Object, *, provisioned: bool, empty: bool) -> str:
    current = phase_of(workload)
    if bound.reason == "HostGone":
        return "Lost"
    if bound.reason == "HostTaken":
        return "Failed"
    if not runs_something(workload):
        return "Bound" if empty or current in IDLE_PHASES else "Deprovisioning"
    if provisioned:
        return "Running" if seen.get("poweredOn") else _powered_off(workload, seen)
    if synchronized.status is not True and current in IDLE_PHASES:
        return "Bound"
    return "Failed" if seen.get("errorMessage") else "Provisioning"


def _powered_off(workload: Object, seen: Object) -> str:
    """Return the phase of an installed Workload whose host is powered off.

    The last step of an installation turns the host off and on, and so does a reboot. Neither makes
    the phase Stopped. The condition Ready says what the Workload waits for."""
    current = phase_of(workload)
    if current == "Stopped" or seen.get("errorMessage") or not workload["spec"].get("online", True):
        return "Stopped"
    return "Running" if current == "Running" else "Provisioning"


def _ready(workload: Object, bound: Outcome, synchronized: Outcome, provisioned: Outcome, seen: Object, phase: str) -> Outcome:
    for part in (bound, synchronized):
        if part.status is not True:
            return Outcome(False, part.reason, part.message)
    if not runs_something(workload):
        reserved = Outcome(True, "Reserved", "the host is reserved; nothing is to run on it")
        return reserved if phase == "Bound" else Outcome(False, provisioned.reason, provisioned.message)
    if provisioned.status is not True:
        return Outcome(False, provisioned.reason, provisioned.message)
    if seen.get("errorMessage"):
        return Outcome(False, "HostError", str(seen["errorMessage"]))
    online, powered = bool(workload["spec"].get("online", True)), bool(seen.get("poweredOn"))
    if online != powered:
        return Outcome(False, "PowerChanging", f"waiting for the host to be powered {'on' if online else 'off'}")
    return Outcome(True, "Running", "running as requested") if online else Outcome(False, "PoweredOff", "spec.online is false")


def _conditions(workload: Object, now: str, outcomes: Mapping[str, Outcome], *, final: bool = True) -> list[Object]:
    wanted = [
        condition(type_, outcome.status, outcome.reason, outcome.message, generation=_generation(workload))
        for type_, outcome in outcomes.items()
    ]
    return workload_conditions((workload.get("status") or {}).get("conditions"), wanted, now, final=final)


def _complete(workload: Object, status: Object, now: str) -> Object:
    """Return the status with lastUpdated, or {} if nothing differs."""
    current = workload.get("status") or {}
    if all(current.get(key) == value for key, value in status.items()):
        return {}
    return {**status, "lastUpdated": now}


def _generation(workload: Object) -> int | None:
    generation: int | None = workload["metadata"].get("generation")
    return generation


def _hardware(seen: Object) -> Object | None:
    hardware = seen.get("hardware")
    if not hardware:
        return None
    cpu = hardware.get("cpu") or {}
    storage = sum(int(disk.get("sizeBytes") or 0) for disk in hardware.get("storage") or ())
    summary = {
        "architecture": cpu.get("arch"),
        "cpuCount": cpu.get("count"),
        "ram": human(int(hardware["ramMebibytes"]) * MI) if hardware.get("ramMebibytes") else None,
        "storage": human(storage) if storage else None,
        "nics": hardware.get("nics") or None,
    }
    return {key: value for key, value in summary.items() if value is not None}


def _addresses(seen: Object) -> list[Object] | None:
    hardware = seen.get("hardware") or {}
    ips = dict.fromkeys(nic["ip"] for nic in hardware.get("nics") or () if nic.get("ip"))
    addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
    if hostname := hardware.get("hostname"):
        addresses.append({"type": "Hostname", "address": hostname})
    return addresses or None
