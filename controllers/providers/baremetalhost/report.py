"""What tenants may know of a real host, and whether it can be given away. Pure: BareMetalHost in, report out.

Fields are listed, never left out: what a later BMO adds stays hidden until it is listed here. Of an error tenants read a fixed sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.base import Consumer, ProviderHost, Source

__all__ = [
    "Policy",
    "availability",
    "consumer_of",
    "dirty_for",
    "dirty_mark",
    "host_status",
    "is_empty",
    "leftovers",
    "provider_host",
    "stalled",
]

SPEC = (
    "architecture",
    "automatedCleaningMode",
    "bootMACAddress",
    "bootMode",
    "disablePowerOff",
    "hardwareProfile",
    "online",
    "rootDeviceHints",
)
STATUS = ("operationalStatus", "errorType", "errorCount", "hardwareProfile", "lastUpdated", "operationHistory", "poweredOn")
PROVISIONING = ("state", "bootMode", "rootDeviceHints", "raid", "firmware")
IMAGE = ("url", "checksum", "checksumType", "format")
HARDWARE = ("ramMebibytes", "cpu", "firmware", "hostname", "systemVendor", "storage")
NIC = ("name", "model", "mac", "ip", "speedGbps", "vlans", "vlanId", "pxe", "pciAddress")

NEVER = re.compile(
    r"(.*\.)?(baremetalhost\.metal3\.io|inspect\.metal3\.io|reboot\.metal3\.io|kubectl\.kubernetes\.io)(/.*)?|workload\.metal3\.io/.*"
)
"""Annotations and labels that are the owner's or ours, whatever the class's policy says."""

_OWNER = "the hardware's owner has to look at it: "
ERRORS = {
    "registration error": f"{_OWNER}it cannot be managed at the moment",
    "provisioned registration error": f"{_OWNER}it cannot be managed at the moment; what runs on it keeps running",
    "inspection error": f"{_OWNER}its hardware cannot be inspected",
    "preparation error": f"{_OWNER}it cannot be prepared for use",
    "detach error": f"{_OWNER}it cannot be detached",
    "servicing error": f"{_OWNER}it cannot be serviced",
    "power management error": f"{_OWNER}its power cannot be controlled",
    "provisioning error": "what is to run cannot be installed: check that the image can be downloaded and that its checksum is "
    "right, or ask the hardware's owner",
}
"""What tenants read of an error, by its type. The source's own words hold addresses, names and answers of the owner's network."""
EMPTYING = ("deprovisioning", "deleting", "powering off before delete")
EMPTYING_FAILED = f"{_OWNER}it cannot be emptied"
UNKNOWN_ERROR = f"{_OWNER}it reports an error"
MOST_WORDS = 4096
"""Characters of an error that the owner's Host repeats."""

FREE_STATES = ("available", "ready")
KNOWN_STATUS = ("", "OK", "discovered", "delayed", "detached", "servicing")
"""Values of operationalStatus that say nothing against a host by themselves."""
NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class Policy:
    """Which labels and annotations tenants see (whole keys matched), and what this management cluster's own marks are."""

    labels: re.Pattern[str] | None = None
    annotations: re.Pattern[str] | None = None
    identity: Identity = NOBODY


def provider_host(bmh: Object, policy: Policy) -> ProviderHost:
    """The report on one BareMetalHost."""
    secret = sensitive(bmh)
    available, reason, message = availability(bmh, policy.identity)
    status = host_status(bmh, identity=policy.identity)
    report: Object = {"name": name_of(bmh), "spec": _pick(bmh.get("spec") or {}, SPEC), "status": status}
    labels = _allowed(labels_of(bmh), policy.labels, secret, _bmc_names(bmh))
    annotations = _allowed(annotations_of(bmh), policy.annotations, secret, _bmc_names(bmh))
    annotations |= {key: "" for key in names.UNHEALTHY if key in annotations_of(bmh)}
    if labels:
        report["labels"] = labels
    if annotations:
        report["annotations"] = annotations
    source = Source(namespace_of(bmh), name_of(bmh), uid_of(bmh))
    dirty, dirty_uid = dirty_mark(bmh, policy.identity) or (None, "")
    error = str((bmh.get("status") or {}).get("errorMessage") or "")[:MOST_WORDS]
    return ProviderHost(
        source,
        report,
        available,
        reason,
        message,
        dirty,
        consumer_of(bmh, policy.identity),
        leftovers(bmh),
        error=error,
        dirty_for_uid=dirty_uid,
    )


def host_status(bmh: Object, *, own: bool = False, identity: Identity | None = None) -> Object:
    """The tenant's part of the status, with the provisioned image only if it is a Workload's (of the management cluster `identity`; None
    for any), or all is the tenant's `own` anyway."""
    status = bmh.get("status") or {}
    result = _pick(status, STATUS)
    result.setdefault("operationalStatus", "")
    result["errorMessage"] = _error_message(bmh)
    provisioning = status.get("provisioning") or {}
    shown = _pick(provisioning, PROVISIONING)
    shown.setdefault("state", "")
    consumer = consumer_of(bmh, identity)
    if own or (consumer is not None and consumer.workload_uid):
        if image := provisioning.get("image"):
            shown["image"] = _pick(image, IMAGE)
        if custom := provisioning.get("customDeploy"):
            shown["customDeploy"] = _pick(custom, ("method",))
    result["provisioning"] = {"ID": "", **shown}
    if hardware := status.get("hardware"):
        result["hardware"] = _hardware(hardware)
    return result


def consumer_of(bmh: Object, identity: Identity | None = None) -> Consumer | None:
    """Who has the real host; without a consumerRef, nobody. `identity`: the management cluster whose Workloads are ours; None for any."""
    reference = (bmh.get("spec") or {}).get("consumerRef")
    if not reference:
        return None
    kind = reference.get("kind") or ""
    ours = kind == "Workload" and (reference.get("apiVersion") or "").startswith(names.OURS)
    elsewhere = identity is not None and not identity.owns(annotations_of(bmh).get(names.MANAGEMENT, ""))
    uid = labels_of(bmh).get(names.WORKLOAD_UID, "") if ours and not elsewhere else ""
    return Consumer(kind, reference.get("namespace") or "", reference.get("name") or "", uid)


def dirty_for(bmh: Object, identity: Identity) -> str | None:
    """The namespace that the host is reserved for because its disks were not wiped."""
    mark = dirty_mark(bmh, identity)
    return mark[0] if mark is not None else None


def dirty_mark(bmh: Object, identity: Identity) -> tuple[str, str] | None:
    """The namespace of this management cluster whose data is on the disks, and its uid ("" in marks of earlier versions)."""
    value = annotations_of(bmh).get(names.DIRTY_FOR)
    if value is None:
        return None
    owner, namespace, uid = names.parsed_mark(value)
    return (namespace, uid) if identity.owns(owner) else None


def is_empty(bmh: Object) -> bool:
    """Nothing is on the host and nothing is under way: it could be given away, as far as its own state goes."""
    provisioning = (bmh.get("status") or {}).get("provisioning") or {}
    image = (provisioning.get("image") or {}).get("url")
    method = (provisioning.get("customDeploy") or {}).get("method")
    return provisioning.get("state") in FREE_STATES and not image and not method


def _in_error(status: Object) -> bool:
    """Whether the host reports an error, of whatever type and with or without a text."""
    return bool(status.get("errorMessage") or status.get("errorType")) or status.get("operationalStatus") == "error"


def leftovers(bmh: Object) -> bool:
    """Whether the host bears a Workload's label although nobody has it: its consumerRef was cleared by hand."""
    return consumer_of(bmh) is None and names.WORKLOAD_UID in labels_of(bmh)


def stalled(bmh: Object) -> str:
    """Why the host does not do what it was told, if that is its owner's will; for the tenant that has it."""
    annotations = annotations_of(bmh)
    if deleting(bmh):
        return "the hardware's owner is removing the machine: save what you need from it; a new Workload gets another machine"
    if names.DETACHED in annotations:
        return "the hardware's owner has detached the machine: nothing on it changes until they attach it again, ask them"
    if names.PAUSED in annotations:
        return "the hardware's owner has paused the machine: nothing on it changes until they resume it, ask them"
    return ""


def availability(bmh: Object, identity: Identity = NOBODY) -> tuple[bool, str, str]:
    """(available, reason, message): whether a Workload could have the host now; the message is for its owner."""
    spec, status, annotations = bmh.get("spec") or {}, bmh.get("status") or {}, annotations_of(bmh)
    state = (status.get("provisioning") or {}).get("state") or "not registered yet"
    consumer = consumer_of(bmh)
    unhealthy = next((key for key in names.UNHEALTHY if key in annotations), None)
    dirty = annotations.get(names.DIRTY_FOR)
    checks: list[tuple[Any, str, str]] = [
        (deleting(bmh), "Deleting", "the BareMetalHost is being deleted"),
        (names.QUARANTINED in annotations, "Quarantined", _QUARANTINED),
        (
            consumer is not None and not consumer.workload_uid,
            "InUse",
            f"{_who(consumer)} has it: it is offered when spec.consumerRef is gone",
        ),
        (names.PAUSED in annotations, "Paused", f"remove the annotation {names.PAUSED} to offer it"),
        (names.DETACHED in annotations, "Detached", f"remove the annotation {names.DETACHED} to offer it"),
        (unhealthy, "Unhealthy", f"remediation gave up on it: repair it, then remove the annotation {unhealthy}"),
        (
            spec.get("externallyProvisioned"),
            "ExternallyProvisioned",
            "it is externally provisioned",
        ),
        (_in_error(status), "HostError", f"it reports a {status.get('errorType') or 'problem'}: see status.errorMessage"),
        (consumer is not None, "Claimed", f"{_who(consumer)} has it"),
        (
            (status.get("operationalStatus") or "") not in KNOWN_STATUS,
            "UnknownStatus",
            f"its operationalStatus is {status.get('operationalStatus')!r}, which is not known here; hosts are offered when it is OK",
        ),
        (spec.get("image") or spec.get("customDeploy"), "InUse", "its owner has set an image or customDeploy: clear it to offer the host"),
        (leftovers(bmh), "Releasing", "what its last Workload has left beside it is being removed"),
        (not is_empty(bmh), "NotReady", f"its state is {state!r}; hosts are offered when available"),
        (dirty is not None and dirty_for(bmh, identity) is None, "Dirty", f"its disks hold data of {dirty}, of another management cluster"),
    ]
    for problem, reason, message in checks:
        if problem:
            return False, reason, message
    return True, "", ""


_QUARANTINED = (
    "its last Workload's data is still on its disks (reclaimPolicy Retain, or freed by hand without cleaning): save what you need, "
    f"clear spec.image and spec.customDeploy, then remove the annotation {names.QUARANTINED}"
)


def _who(consumer: Consumer | None) -> str:
    return f"{consumer.kind} {consumer.namespace}/{consumer.name}" if consumer else "nobody"


def sensitive(bmh: Object) -> list[str]:
    """Strings of this host that no tenant may see, longest first."""
    spec, status = bmh.get("spec") or {}, bmh.get("status") or {}
    bmc = spec.get("bmc") or {}
    found = {bmc.get("address"), bmc.get("credentialsName"), spec.get("preprovisioningNetworkDataName")}
    found |= {((status.get(key) or {}).get("credentials") or {}).get("name") for key in ("goodCredentials", "triedCredentials")}
    address = bmc.get("address") or ""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        found |= {parts.netloc, parts.hostname, parts.username, parts.password}
    except ValueError:
        pass
    return sorted((text for text in found if text and len(text) > 2), key=len, reverse=True)


def _error_message(bmh: Object) -> str:
    """The sentence for the type of the host's error; empty without one."""
    status = bmh.get("status") or {}
    if not status.get("errorMessage"):
        return ""
    kind, state = status.get("errorType") or "", (status.get("provisioning") or {}).get("state")
    if kind == "provisioning error" and state in EMPTYING:
        return EMPTYING_FAILED
    return ERRORS.get(kind, UNKNOWN_ERROR)


def _allowed(pairs: dict[str, str], pattern: re.Pattern[str] | None, secret: list[str], bmc: set[str]) -> dict[str, str]:
    """Return what the pattern lets tenants see. Left out is a value of `secret`, and what contains a name of the BMC."""
    if pattern is None:
        return {}
    return {
        key: value
        for key, value in pairs.items()
        if pattern.fullmatch(key) and not NEVER.fullmatch(key) and value not in secret and not any(name in f"{key}={value}" for name in bmc)
    }


def _bmc_names(bmh: Object) -> set[str]:
    """Return the BMC's address and host name. Secrets' names are not among them: `worker` is part of many labels."""
    address = ((bmh.get("spec") or {}).get("bmc") or {}).get("address") or ""
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        host = ""
    return {name for name in (address, host) if len(name) > 2}


def _hardware(hardware: Object) -> Object:
    result = _pick(hardware, HARDWARE)
    if (nics := hardware.get("nics")) is not None:
        result["nics"] = [_pick(nic, NIC) for nic in nics]
    return result


def _pick(source: Object, fields: tuple[str, ...]) -> Object:
    return {field: source[field] for field in fields if source.get(field) is not None}
