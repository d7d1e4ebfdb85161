"""Define workload.metal3.io/v1alpha1 Host: one machine of a class, for the owner and the
controllers.

Tenants cannot read it. A Host is to machines what a PersistentVolume is to disks. The provider
reports what it can offer (status), and the server records which Workload has it (spec.claimRef).
The Host is the record of the claim. Its name is derived from the real host's identity. So a host
has one claim, regardless of the class, namespace or name under which it is seen. It contains no BMC
address or credential.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from apiserver.apis.base import Model, Timestamp
from apiserver.apis.bounded import bounded_lru_cache
from apiserver.apis.meta import Conditions, ObjectMeta, ObjectReference, OwnerReference, SecretReference
from apiserver.apis.metal3 import BareMetalHostSpec, BareMetalHostStatus, CustomDeploy, Reported, ReportedImage
from apiserver.apis.names import FIRST_BOOT

WORKLOAD_FIELDS = ("consumerRef", "image", "customDeploy", *FIRST_BOOT, "online", "automatedCleaningMode")
"""The fields of a view's spec that belong to the Workload. The others belong to the host."""

CORDONED = "SchedulingDisabled"
"""The state of a host that its owner takes out of service, as kubectl shows it for a Node."""

REMEMBERED = 2**15
"""The number of cached names: hosts in use, which change most, and many free ones."""

IDENTITY = uuid.UUID("5b0e6a52-6c8f-5d0a-9a3e-3c1a6d1f7b10")


@bounded_lru_cache(REMEMBERED, 128)
def host_name(real_uid: str) -> str:
    """Return the name of the Host of the real host with this uid.

    It is opaque, so that tenants may see it (status.provisioning.ID)."""
    return str(uuid.uuid5(IDENTITY, real_uid))


@bounded_lru_cache(REMEMBERED, 128)
def view_uid(real_uid: str, namespace: str) -> str:
    """Return the uid of a real host's view in a namespace.

    It is stable over offers, claims and restarts, and unique over namespaces."""
    return str(uuid.uuid5(IDENTITY, f"{namespace}/{real_uid}"))


def uid_of_view(source: Mapping[str, Any], namespace: str) -> str:
    """Return the uid of a host's view in a namespace, from Host.spec.source.

    In identityNamespace, it is the source's own uid. There is one Host per source uid and one view
    per namespace, so no uid is used twice."""
    uid = str(source["uid"])
    return uid if source.get("identityNamespace") == namespace else view_uid(uid, namespace)


def dirty_for(host: Mapping[str, Any]) -> str | None:
    """Return the uid of the only namespace that may have the Host, because its data is on the
    disks.

    Returns "" if no namespace may have it, and None if every namespace may."""
    status = host.get("status") or {}
    return str(status.get("dirtyForUID") or "") if status.get("dirtyFor") else None


def reserved_for(host: Mapping[str, Any]) -> str | None:
    """Return the uid of the namespace for which a Reservation keeps the Host, or None."""
    reservation = host["spec"].get("reservedFor")
    return str(reservation.get("namespaceUID") or "") if reservation else None


def is_open_to(reserved: str | None, namespace_uid: str) -> bool:
    """Return whether the namespace with this uid may have a Host that is reserved as `dirty_for`
    or `reserved_for` says."""
    return reserved is None or bool(reserved and reserved == namespace_uid)


def unavailable_reason(host: Mapping[str, Any]) -> str | None:
    """Return why the Host cannot be claimed now, or None if it is free.

    The reasons are Bound, Deleting, SchedulingDisabled, NotReady, and those of its provider. A host
    without a reason may still be free for one namespace only (see dirty_for and
    reserved_for)."""
    status = host.get("status") or {}
    if host["spec"].get("claimRef"):
        return "Bound"
    if host["metadata"].get("deletionTimestamp"):
        return "Deleting"
    if host["spec"].get("unschedulable"):
        return CORDONED
    if not status.get("report"):
        return "NotReady"
    return None if status.get("available") else status.get("reason") or "Unavailable"


def adopted_consumer(reference: Mapping[str, Any]) -> str:
    """Return a consumerRef in the form of the annotation ADOPTS: "APIVERSION KIND
    NAMESPACE/NAME"."""
    parts = {field: str(reference.get(field) or "") for field in ("apiVersion", "kind", "namespace", "name")}
    return "{apiVersion} {kind} {namespace}/{name}".format(**parts)


class HostSource(Model):
    """The real host at its provider: namespace, name and uid of a BareMetalHost, or their
    equivalents."""

    namespace: str | None = Field(default=None, description="Its namespace at the source.")
    name: str = Field(min_length=1, description="Its name at the source.")
    uid: str = Field(min_length=1, description="Its uid at the source. Immutable.")
    identity_namespace: str | None = Field(default=None, description="The namespace here in which the view has the source's uid itself.")


class ClaimRef(Model):
    """The Workload that has the host. Clearing it by hand releases the host only in the records."""

    namespace: str = Field(description="The Workload's namespace.")
    name: str = Field(description="The Workload's name.")
    uid: str = Field(description="The Workload's uid.")
    namespace_uid: str | None = Field(
        default=None, alias="namespaceUID", description="The uid of the namespace at the claim; none in claims of earlier versions."
    )


class ChargedTo(Model):
    """The namespace whose quota counts the host although no Workload has it.

    The charge ends when other namespaces can have the host, or when it is out of use for another
    reason. The owner may clear it as well."""

    namespace: str = Field(description="The namespace whose quota counts the host.")
    name: str = Field(default="", description="The Workload that left it so.")
    uid: str = Field(default="", description="That Workload's uid: while it exists, the quota counts it instead of the host.")
    unhealthy: bool = Field(default=False, description="Whether the tenant marked the host as unhealthy.")
    namespace_uid: str | None = Field(default=None, alias="namespaceUID", description="The namespace's uid: a later one is not charged.")


class ReservedFor(Model):
    """The Reservation that keeps the host for its namespace."""

    namespace: str = Field(description="The namespace that may have the host.")
    namespace_uid: str = Field(
        alias="namespaceUID", description="The uid of that namespace. A later namespace of the same name may not have the host."
    )
    name: str = Field(description="The Reservation's name.")
    uid: str = Field(description="The Reservation's uid.")


class TenantMetadata(Model):
    """The tenant's part of the view's metadata, on top of the host's own.

    The fields `removed...` hide labels and annotations of the host."""

    name: str = Field(description="The view's name in the tenant's namespace.")
    labels: dict[str, str] | None = Field(default=None, description="Labels that the tenant added or changed.")
    annotations: dict[str, str] | None = Field(default=None, description="Annotations that the tenant added or changed.")
    removed_labels: list[str] | None = Field(default=None, description="Labels of the host that the tenant removed.")
    removed_annotations: list[str] | None = Field(default=None, description="Annotations of the host that the tenant removed.")
    owner_references: list[OwnerReference] | None = Field(default=None, description="Owners in the tenant's namespace.")
    finalizers: list[str] | None = Field(default=None, description="Finalizers that the tenant's clients set.")


class HostSpec(Model):
    """Where the host comes from, and which Workload has it."""

    class_name: str = Field(min_length=1, description="The WorkloadClass that offers the host.")
    source: HostSource
    offers: list[str] | None = Field(default=None, description="The namespaces to which the free host is, or was last, offered.")
    claim_ref: ClaimRef | None = Field(default=None, description="The Workload that has the host; none while it is free.")
    earlier: dict[str, str] | None = Field(
        default=None,
        description="The operations before the claim, each with its start: they are not shown to the claimant.",
    )
    view: TenantMetadata | None = Field(default=None, description="What the tenant wrote into the metadata of its BareMetalHost.")
    unschedulable: bool | None = Field(
        default=None,
        description="Whether the owner takes the host out of service: no other Workload gets it. The Workload that has it keeps it.",
    )
    charged_to: ChargedTo | None = Field(default=None, description="Whose quota counts the host although no Workload has it.")
    reserved_for: ReservedFor | None = Field(
        default=None,
        description="The Reservation that keeps the host for its namespace. Others are neither offered the host nor bound to it. A "
        "Workload of the namespace may have it.",
    )


class HostReport(Model):
    """The provider's report on the host, without the owner's data and filtered by the class's
    metadata policy.

    `spec` and `status` have a BareMetalHost's shape and contain the part that tenants may see.
    There is no bmc, no secret name and no LLDP data, and errorMessage is one of a few fixed
    sentences."""

    name: str = Field(description="Name to show to tenants.")
    labels: dict[str, str] | None = Field(default=None, description="Labels that the class shows to tenants.")
    annotations: dict[str, str] | None = Field(default=None, description="Annotations that the class shows to tenants.")
    spec: BareMetalHostSpec
    status: BareMetalHostStatus


class HeldSpec(Model):
    """The request of a claim at the source: the part of a view's spec that belongs to the
    Workload."""

    consumer_ref: ObjectReference
    image: ReportedImage | None = None
    custom_deploy: CustomDeploy | None = None
    user_data: SecretReference | None = None
    meta_data: SecretReference | None = None
    network_data: SecretReference | None = None
    online: bool = Field(default=False, description="Whether the machine should be powered on.")
    automated_cleaning_mode: Reported | None = Field(default=None, description="Whether disks are wiped on release.")


class HeldClaim(Model):
    """A claim that the host's source knows already, of a consumer that may move here.

    The host's view is shown in `namespace` as it is at the source. The consumer's first write to it
    takes over the claim, which belongs to the source until then."""

    namespace: str = Field(description="The namespace in which the view is shown.")
    namespace_uid: str | None = Field(
        default=None, alias="namespaceUID", description="The uid of the only namespace of that name that may take over the claim."
    )
    recovered: bool | None = Field(
        default=None,
        description="Whether a Workload of this cluster that the store has lost made the claim: a Workload of its name gets the host back.",
    )
    labels: dict[str, str] | None = Field(default=None, description="Labels of the view at the source.")
    annotations: dict[str, str] | None = Field(default=None, description="Annotations of the view at the source.")
    spec: HeldSpec


class HeldBy(Model):
    """The consumer that the source knows (see `adopted_consumer`), and the namespace that it
    corresponds to."""

    consumer: str = Field(description="The consumer, as APIVERSION KIND NAMESPACE/NAME.")
    namespace_uid: str = Field(alias="namespaceUID", description="The uid of the namespace that it corresponds to.")


class HistoryEntry(Model):
    """One claim of the host, for its owner. Only the server writes it, together with the claim."""

    namespace: str = Field(description="The Workload's namespace.")
    namespace_uid: str | None = Field(default=None, alias="namespaceUID", description="The uid of the namespace at the claim.")
    name: str = Field(description="The Workload's name.")
    uid: str = Field(description="The Workload's uid.")
    class_name: str | None = Field(default=None, description="The WorkloadClass that offered the host.")
    image: str | None = Field(default=None, description="The URL of the image, without user, password, query and fragment.")
    bound_at: Timestamp | None = Field(default=None, description="When the Workload got the host; none if an earlier version recorded it.")
    running_at: Timestamp | None = Field(default=None, description="When the host was first reported as installed.")
    released_at: Timestamp | None = Field(default=None, description="When the claim ended; none while it lasts.")
    cleaned_at: Timestamp | None = Field(
        default=None, description="When the host was first reported as free for every namespace again, without data of this one."
    )
    outcome: str | None = Field(
        default=None,
        description="How the claim ended: Released (the Workload was deleted), Retained (as Released, and what ran was kept), TakenBack "
        "(the owner cleared the claim), Rescheduled (the Workload moved before anything was installed) or WorkloadGone (the claim was "
        "ended after its Workload had disappeared).",
    )
    last_error: str | None = Field(default=None, description="The last error that the host reported during the claim.")


class HostStatus(Model):
    """The provider's report. The server sets `phase` (Available, Bound or Unavailable) and
    `history`."""

    phase: Literal["Available", "Bound", "Unavailable"] | None = Field(
        default=None, description="Available (free to claim), Bound (a Workload has it) or Unavailable (cordoned, or see reason)."
    )
    available: bool = Field(default=False, description="Whether a Workload could have it now, were it not claimed.")
    reason: str | None = Field(default=None, description="Why it is not available: a CamelCase word.")
    message: str | None = Field(default=None, description="The reason as a sentence, and what to do.")
    error_message: str | None = Field(
        default=None, max_length=4096, description="What the source says is wrong with the host, in its own words: for the owner alone."
    )
    dirty_for: str | None = Field(default=None, description="The only namespace that may have it, because its data is still on the disks.")
    dirty_for_uid: str | None = Field(
        default=None,
        alias="dirtyForUID",
        description="The uid of that namespace, while it exists. If empty, the host is not offered before it is cleaned.",
    )
    report: HostReport | None = None
    held: HeldClaim | None = Field(
        default=None, description="The consumer that has it at its source, if that consumer may take the claim over here."
    )
    held_by: HeldBy | None = Field(default=None, description="Which namespace may take over, or has taken over, the claim at the source.")
    conditions: Conditions | None = Field(default=None, description="Abandoned while the Workload of the claim is missing.")
    history: list[HistoryEntry] | None = Field(
        default=None, description="The last claims of the host, the newest last; at most 16, and at most 8 KiB."
    )


class Host(Model):
    """A machine that a class can provide."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: HostSpec
    status: HostStatus | None = None


class HostOffers(Model):
    """The body of PUT hosts/NAME/offers: show the free host in exactly these namespaces.

    Terminating namespaces are left out of the answer. The request is idempotent and
    level-triggered: views are created, updated and deleted, each in its own commit. A claimed host
    is not changed: its view stays with the namespace that has it."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    namespaces: list[str]
