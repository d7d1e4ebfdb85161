"""Compute what tenants may see of a real host, and whether the host is available.

Fields are listed, not excluded: a field that a later BMO adds stays hidden until it is listed here.
Tenants read a fixed sentence instead of an error message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from apiserver.apis.metal3 import IMAGE_FIELDS, PROVISIONING_FIELDS
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, matches, name_of, namespace_of, uid_of
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adoptionrecord import CONSUMER_LABELS, adopted_claim, marked
from controllers.providers.baremetalhost.conditions import shown_conditions
from controllers.providers.baremetalhost.desired import recovers
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.machineerrors import error_message, in_error
from controllers.providers.baremetalhost.record import held_claim
from controllers.providers.base import Consumer, ProviderHost, Source

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
STATUS = (
    "operationalStatus",
    "errorType",
    "errorCount",
    "hardwareProfile",
    "lastUpdated",
    "operationHistory",
    "poweredOn",
    "provisioningFailCount",
)
HARDWARE = ("ramMebibytes", "cpu", "firmware", "hostname", "systemVendor", "storage")
NIC = ("name", "model", "mac", "ip", "speedGbps", "vlans", "vlanId", "pxe", "pciAddress")

NEVER = re.compile(
    r"(.*\.)?(baremetalhost\.metal3\.io|inspect\.metal3\.io|reboot\.metal3\.io|kubectl\.kubernetes\.io)(/.*)?|workload\.metal3\.io/.*"
)
"""The annotations and labels that belong to the owner or to us, whatever the policy of the class
allows."""

MOST_WORDS = 4096
"""The most characters of an error message that the Host repeats for its owner."""

FREE_STATES = ("available", "ready")
KNOWN_STATUS = ("", "OK", "discovered", "delayed", "detached", "servicing")
"""The values of operationalStatus that do not make a host unavailable by themselves."""
NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class Policy:
    """The labels and annotations that tenants see (patterns match whole keys), this management
    cluster's identity, and the class's hostSelector."""

    labels: re.Pattern[str] | None = None
    annotations: re.Pattern[str] | None = None
    identity: Identity = NOBODY
    selector: Object | None = None


def provider_host(bmh: Object, policy: Policy) -> ProviderHost:
    """Return the report on one BareMetalHost."""
    secret = sensitive(bmh)
    available, reason, message = availability(bmh, policy.identity)
    adopted = adopted_claim(bmh, policy.identity)
    status = host_status(bmh, own=adopted is not None, identity=policy.identity)
    report: Object = {"name": name_of(bmh), "spec": _pick(bmh.get("spec") or {}, SPEC), "status": status}
    labels = _allowed(_owners_labels(bmh), policy.labels, secret, _bmc_names(bmh))
    annotations = _allowed(annotations_of(bmh), policy.annotations, secret, _bmc_names(bmh))
    annotations |= {key: "" for key in names.UNHEALTHY if key in annotations_of(bmh)}
    if labels:
        report["labels"] = labels
    if annotations:
        report["annotations"] = annotations
    source = Source(namespace_of(bmh), name_of(bmh), uid_of(bmh), identity_namespace=_identity_namespace(bmh, policy.identity))
    dirty, dirty_uid = dirty_mark(bmh, policy.identity) or (None, "")
    who = consumer_of(bmh, policy.identity)
    held = adopted or _lost_claim(bmh, who, policy)
    if held is not None:
        available, reason, message = False, "Held", _adoption_message(held) if adopted is not None else _lost_message(who)
    error = str((bmh.get("status") or {}).get("errorMessage") or "")[:MOST_WORDS]
    return ProviderHost(
        source,
        report,
        available,
        reason,
        message,
        dirty,
        who,
        leftovers(bmh),
        held=held,
        error=error,
        dirty_for_uid=dirty_uid,
    )


def _lost_claim(bmh: Object, who: Consumer | None, policy: Policy) -> Object | None:
    """Return the HeldClaim of a host that `recover` gives back.

    Other writers of the hardware cluster can write our marks, but these bring no host into a
    class."""
    recovered = who is not None and who.workload_uid and recovers(bmh) and matches(policy.selector, labels_of(bmh))
    return held_claim(bmh) if recovered else None


def _lost_message(who: Consumer | None) -> str:
    return f"{_who(who)} had it in a store that was lost, and gets it back when a Workload of this name is created again"


def _owners_labels(bmh: Object) -> dict[str, str]:
    """Return the labels without those that the consumer of an adopted host has put on it."""
    adopted = names.ADOPTION in annotations_of(bmh)
    return {key: value for key, value in labels_of(bmh).items() if not (adopted and key in CONSUMER_LABELS)}


def _identity_namespace(bmh: Object, identity: Identity) -> str:
    """Return the namespace in which the view keeps the host's uid, because its consumer moves
    there.

    The Nodes of Cluster API have the uid in a label."""
    record = marked(bmh, identity)
    return record.namespace if record is not None and not record.workload else ""


def _adoption_message(held: Object) -> str:
    reference, namespace = held["spec"]["consumerRef"], held["namespace"]
    who = f"{reference.get('kind')} {namespace}/{reference.get('name')}"
    if held.get("recovered"):
        return f"its owner has given it to the {who}, which takes it over as it runs when it is created"
    return f"{who} has it, and takes it over as it runs with its first write after it has moved here"


def host_status(bmh: Object, *, own: bool = False, identity: Identity | None = None) -> Object:
    """Return the part of the status that the tenant sees.

    It contains the provisioned image only if a Workload has the host, or if `own` says that
    everything on the host is the tenant's. `identity`: the management cluster of the Workload; None
    for any."""
    status = bmh.get("status") or {}
    result = _pick(status, STATUS)
    result.setdefault("operationalStatus", "")
    result["errorMessage"] = error_message(bmh)
    if conditions := shown_conditions(bmh, result["errorMessage"]):
        result["conditions"] = conditions
    provisioning = status.get("provisioning") or {}
    shown = _pick(provisioning, PROVISIONING_FIELDS)
    shown.setdefault("state", "")
    consumer = consumer_of(bmh, identity)
    if own or (consumer is not None and consumer.workload_uid):
        if image := provisioning.get("image"):
            shown["image"] = _pick(image, IMAGE_FIELDS)
        if custom := provisioning.get("customDeploy"):
            shown["customDeploy"] = _pick(custom, ("method",))
    result["provisioning"] = {"ID": "", **shown}
    if hardware := status.get("hardware"):
        result["hardware"] = _hardware(hardware)
    return result


def consumer_of(bmh: Object, identity: Identity | None = None) -> Consumer | None:
    """Return the consumer of the real host; None without a consumerRef.

    `identity`: the management cluster whose Workloads are ours; None for any."""
    reference = (bmh.get("spec") or {}).get("consumerRef")
    if not reference:
        return None
    kind = reference.get("kind") or ""
    ours = kind == "Workload" and (reference.get("apiVersion") or "").startswith(names.OURS)
    elsewhere = identity is not None and not identity.owns(annotations_of(bmh).get(names.MANAGEMENT, ""))
    uid = labels_of(bmh).get(names.WORKLOAD_UID, "") if ours and not elsewhere else ""
    return Consumer(kind, reference.get("namespace") or "", reference.get("name") or "", uid)


def dirty_for(bmh: Object, identity: Identity) -> str | None:
    """Return the namespace that the host is reserved for because its disks were not wiped."""
    mark = dirty_mark(bmh, identity)
    return mark[0] if mark is not None else None


def dirty_mark(bmh: Object, identity: Identity) -> tuple[str, str] | None:
    """Return the namespace of this management cluster whose data is on the disks, and its uid.

    The uid is "" in marks of earlier versions."""
    value = annotations_of(bmh).get(names.DIRTY_FOR)
    if value is None:
        return None
    owner, namespace, uid = names.parsed_mark(value)
    return (namespace, uid) if identity.owns(owner) else None


def is_empty(bmh: Object) -> bool:
    """Return whether nothing is on the host and no operation is in progress.

    Such a host may still be unavailable for another reason (see `availability`)."""
    provisioning = (bmh.get("status") or {}).get("provisioning") or {}
    image = (provisioning.get("image") or {}).get("url")
    method = (provisioning.get("customDeploy") or {}).get("method")
    return provisioning.get("state") in FREE_STATES and not image and not method


def leftovers(bmh: Object) -> bool:
    """Return whether the host has a Workload's label but no consumer: its consumerRef was cleared
    by hand."""
    return consumer_of(bmh) is None and names.WORKLOAD_UID in labels_of(bmh)


def stalled(bmh: Object) -> str:
    """Return why the host does not follow its spec if its owner wants that; the text is for the
    tenant."""
    annotations = annotations_of(bmh)
    if deleting(bmh):
        return "the hardware's owner is removing the machine: save what you need from it; a new Workload gets another machine"
    if names.DETACHED in annotations:
        return "the hardware's owner has detached the machine: nothing on it changes until they attach it again, ask them"
    if names.PAUSED in annotations:
        return "the hardware's owner has paused the machine: nothing on it changes until they resume it, ask them"
    return ""


def availability(bmh: Object, identity: Identity = NOBODY) -> tuple[bool, str, str]:
    """Return (available, reason, message): whether a Workload could have the host now.

    The message is for the owner."""
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
            "it is externally provisioned: clear spec.externallyProvisioned to offer it",
        ),
        (in_error(status), "HostError", f"it reports a {status.get('errorType') or 'problem'}: see status.errorMessage"),
        (consumer is not None, "Claimed", f"{_who(consumer)} has it"),
        (
            (status.get("operationalStatus") or "") not in KNOWN_STATUS,
            "UnknownStatus",
            f"its operationalStatus is {status.get('operationalStatus')!r}, which is not known here; hosts are offered when it is OK",
        ),
        (spec.get("image") or spec.get("customDeploy"), "InUse", "its owner has set an image or customDeploy: clear it to offer the host"),
        (leftovers(bmh), "Releasing", "what its last Workload has left beside it is being removed"),
        (not is_empty(bmh), "NotReady", f"its state is {state!r}; hosts are offered when available"),
        (
            dirty is not None and dirty_for(bmh, identity) is None,
            "Dirty",
            f"its disks hold data of {dirty}, of another management cluster: clean it, then remove the annotation",
        ),
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
    return f"{consumer.kind} {consumer.namespace}/{consumer.name}" if consumer else "a consumer without a name"


def sensitive(bmh: Object) -> list[str]:
    """Return the strings of this host that no tenant may see, the longest first."""
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


def _allowed(pairs: dict[str, str], pattern: re.Pattern[str] | None, secret: list[str], bmc: set[str]) -> dict[str, str]:
    """Return the pairs that the pattern shows to tenants.

    Pairs with a value of `secret`, and pairs that contain a name of the BMC, are left out."""
    if pattern is None:
        return {}
    return {
        key: value
        for key, value in pairs.items()
        if pattern.fullmatch(key) and not NEVER.fullmatch(key) and value not in secret and not any(name in f"{key}={value}" for name in bmc)
    }


def _bmc_names(bmh: Object) -> set[str]:
    """Return the BMC's address and host name.

    The names of secrets are not included, because a name such as `worker` is part of many
    labels."""
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
