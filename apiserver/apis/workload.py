"""Define workload.metal3.io/v1alpha1 Workload: what to run and what it needs, not which machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from apiserver.apis.base import DNSSubdomain, Model, Quantity, Timestamp
from apiserver.apis.meta import Conditions, LabelSelector, ObjectMeta, ObjectReference, SecretReference
from apiserver.apis.metal3 import NIC, CleaningMode, CustomDeploy, Image
from apiserver.apis.names import FIRST_BOOT, IMAGE_AUTH
from apiserver.apis.names import GROUP as GROUP
from apiserver.apis.names import VERSION as VERSION
from apiserver.apis.placement import Gang, Placement

Phase = Literal["Pending", "Bound", "Provisioning", "Running", "Stopped", "Deprovisioning", "Failed", "Lost"]

BindingState = Literal["Assumed", "Confirmed", "Rescheduling"]

HOST_CHOSEN = "HostChosen"
"""The reason of the condition Bound (True) while status.binding.state is Assumed."""


def binding_state(status: Mapping[str, Any] | None) -> BindingState | None:
    """Return the state of the binding in a Workload's status; None without a host.

    A status that an earlier version stored has no status.binding."""
    if not status or not status.get("host"):
        return None
    state: BindingState | None = (status.get("binding") or {}).get("state")
    return state or earlier_binding_state(status)


def host_of(workload: Mapping[str, Any]) -> dict[str, Any]:
    """Return status.host, the host that was chosen for the Workload: {} before."""
    return (workload.get("status") or {}).get("host") or {}


def named_secrets(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the secrets that a Workload's spec names, by field.

    They contain first-boot data, and a registry's credentials for an OCI image."""
    found = {field: spec[field]["name"] for field in FIRST_BOOT if (spec.get(field) or {}).get("name")}
    image = spec.get("image") or {}
    if image.get(IMAGE_AUTH) and str(image.get("url") or "").lower().startswith("oci://"):
        found[IMAGE_AUTH] = image[IMAGE_AUTH]
    return found


def earlier_binding_state(status: Mapping[str, Any]) -> BindingState:
    """Return the binding state of a Workload with a host, as versions without status.binding stored
    it.

    They encoded it in the phase, and in the reason of the condition Bound."""
    if status.get("phase") == "Pending":
        return "Rescheduling"
    bound = ("Bound", "True", HOST_CHOSEN)
    conditions = status.get("conditions") or ()
    assumed = any((item.get("type"), item.get("status"), item.get("reason")) == bound for item in conditions)
    return "Assumed" if assumed else "Confirmed"


CHOICE = ("className", "hostRef", "hostSelector", "requirements", "failureDomain", "placement")
"""The fields of spec that choose the host, and are fixed once there is one."""
IDLE_PHASES = ("Pending", "Bound", None)
"""The phases before anything is installed on a host. None is the phase of a new Workload."""
RAN_PHASES = ("Running", "Stopped")
"""The phases in which the host is installed as the Workload asks."""


class Requirements(Model):
    """The minimum hardware. Hardware beyond it lowers a host's score, so that the best fit is
    chosen."""

    architecture: str | None = Field(default=None, description="CPU architecture, such as x86_64 or aarch64.")
    cpu_count: int | None = Field(default=None, ge=1, description="At least this many CPUs (hardware threads).")
    ram: Quantity | None = Field(default=None, description="At least this much memory, such as 64Gi.")
    storage: Quantity | None = Field(default=None, description="At least this much disk space in all, such as 1Ti.")
    nics: int | None = Field(default=None, ge=0, description="At least this many network interfaces.")
    resources: dict[Annotated[str, Field(max_length=317)], Quantity] | None = Field(
        default=None,
        max_length=64,
        description='Labels of the host that hold quantities, such as {"nvidia.com/gpu": 4}: at least this much of each.',
    )


class HostRef(Model):
    """A host by the name of its view in this namespace."""

    name: DNSSubdomain = Field(description="The BareMetalHost's name in this namespace.")


LONGEST_LEASE = 315360000
"""Ten years in seconds."""


class LeaseRequest(Model):
    """How long the Workload may keep its machine."""

    duration_seconds: int = Field(
        ge=1,
        le=LONGEST_LEASE,
        description="The seconds from the binding until the Workload is deleted, and its machine is released as at any deletion. To extend "
        "the lease, raise this number, at most to the maximum of the class.",
    )


class WorkloadSpec(Model):
    """What to run (image or customDeploy, and first-boot configuration) and what it needs."""

    class_name: DNSSubdomain | None = Field(
        default=None, description="The WorkloadClass that machines come from; the default class when empty. Fixed once a host is bound."
    )
    image: Image | None = Field(
        default=None, description="The operating system to write to the disk. Neither image nor customDeploy: reserve a host, run nothing."
    )
    custom_deploy: CustomDeploy | None = Field(default=None, description="A deploy procedure instead of an image.")
    user_data: SecretReference | None = Field(
        default=None, description="Secret of this namespace with cloud-init or ignition user data (key userData or value)."
    )
    meta_data: SecretReference | None = Field(
        default=None, description="Secret of this namespace with metadata for the config drive (key metaData)."
    )
    network_data: SecretReference | None = Field(
        default=None, description="Secret of this namespace with network data for the config drive (key networkData)."
    )
    online: bool = Field(default=True, description="Whether the machine should be powered on.")
    host_selector: LabelSelector | None = Field(default=None, description="Labels that the host must have. Fixed once a host is bound.")
    requirements: Requirements | None = Field(default=None, description="Hardware that the host must have. Fixed once a host is bound.")
    failure_domain: str | None = Field(
        default=None,
        max_length=253,
        description="Failure domain to prefer (label infrastructure.cluster.x-k8s.io/failure-domain). Fixed once a host is bound.",
    )
    consumer_ref: ObjectReference | None = Field(default=None, description="The object on whose behalf this runs, such as a Metal3Machine.")
    automated_cleaning_mode: CleaningMode | None = Field(
        default=None, description="Whether disks are wiped on release; as far as the class allows."
    )
    reclaim_policy: Literal["Delete", "Retain"] = Field(
        default="Delete",
        description="On deletion, Delete deprovisions and cleans the host; Retain leaves it as it is, for its owner to look at.",
    )
    update_policy: Literal["OnDelete", "Recreate"] = Field(
        default="OnDelete",
        description="What a change of image or customDeploy does to a host that runs already. OnDelete keeps what runs, and says so in "
        "status, until the field is set back; Recreate empties the host, wipes it as the class says, and installs what spec asks for.",
    )
    lease: LeaseRequest | None = Field(
        default=None, description="When the Workload is deleted by itself; as the class says when empty, which by default is never."
    )
    host_ref: HostRef | None = Field(
        default=None, description="Pin to this host, by the name of its BareMetalHost in this namespace. Fixed once a host is bound."
    )

    placement: Placement | None = Field(
        default=None,
        description="Failure domains, and where the host is relative to those of other Workloads. Not considered with hostRef. Fixed once "
        "a host is bound.",
    )
    priority: int | None = Field(
        default=None,
        ge=-1_000_000_000,
        le=1_000_000_000,
        description="Workloads of this namespace that wait for hosts of one class get them in the order of their "
        "priorities, the highest first; 0 when empty. No Workload loses its host by this.",
    )
    gang: Gang | None = Field(
        default=None, description="Wait until enough Workloads of the same gang can have hosts; a gang starts together or not at all."
    )

    @model_validator(mode="after")
    def _one_way_to_deploy(self) -> Self:
        if self.image is not None and self.custom_deploy is not None:
            raise ValueError("image and customDeploy exclude each other: set one of them")
        return self


class BoundHost(Model):
    """The chosen host, as its tenant sees it."""

    name: str = Field(description="The name of its BareMetalHost in this namespace.")
    uid: str = Field(description="The uid of its BareMetalHost in this namespace.")
    class_name: str = Field(alias="class", description="The WorkloadClass that it comes from.")


class BindingStatus(Model):
    """The progress of the binding to the chosen host."""

    state: BindingState = Field(
        description="Assumed: the host was chosen, and its source has not confirmed that the Workload has it, so another host may still be "
        "chosen. Confirmed: the source has confirmed it, and the Workload keeps this host until it is deleted. Rescheduling: the source "
        "gave the host to another consumer, and another host is chosen."
    )


class HardwareSummary(Model):
    """A summary of the chosen host's hardware."""

    architecture: str | None = Field(default=None, description="CPU architecture, such as x86_64.")
    cpu_count: int | None = Field(default=None, description="CPUs (hardware threads).")
    ram: str | None = Field(default=None, description="Memory, such as 64Gi.")
    storage: str | None = Field(default=None, description="Disk space in all, such as 1Ti.")
    nics: list[NIC] | None = Field(default=None, description="Network interfaces.")


class Address(Model):
    """An address of the machine."""

    type: Literal["InternalIP", "ExternalIP", "Hostname"] = Field(description="What sort of address it is.")
    address: str = Field(description="The IP address or name.")


class LeaseStatus(Model):
    """The lease of the machine. The server writes it, and `move` removes it."""

    start_time: Timestamp = Field(description="When the lease began: at the binding, or when spec.lease was set later.")
    expiration_timestamp: Timestamp = Field(description="When the Workload is deleted, unless the lease is extended before.")
    grace_since: Timestamp | None = Field(
        default=None,
        description="When the server returned after an absence or a restore, because of which the lease got more time.",
    )


class WorkloadStatus(Model):
    """The observed state. Conditions: Bound, Synchronized, Provisioned, Ready."""

    observed_generation: int | None = Field(default=None, description="The metadata.generation that this status is about.")
    phase: Phase | None = Field(
        default=None,
        description="Pending (waits for a host), Bound, Provisioning, Running, Stopped (powered off), Deprovisioning, Failed (it is tried "
        "again) or Lost (the host was taken back).",
    )
    conditions: Conditions | None = Field(
        default=None, description="Bound, Synchronized, Provisioned, Ready; Stalled where only a change helps."
    )
    host: BoundHost | None = Field(default=None, description="The host that was chosen.")
    binding: BindingStatus | None = Field(default=None, description="How far the binding to that host is; empty without a host.")
    lease: LeaseStatus | None = Field(default=None, description="When the Workload is deleted by itself; empty when never.")
    hardware: HardwareSummary | None = Field(default=None, description="The hardware of that host, in short.")
    addresses: list[Address] | None = Field(
        default=None, description="Where the machine can be reached, as far as its hardware reports it."
    )
    powered_on: bool | None = Field(default=None, description="Whether the machine is powered on.")
    error_message: str | None = Field(default=None, description="What is wrong with the host now; empty when nothing is.")
    last_updated: Timestamp | None = Field(default=None, description="When this status changed last.")


class Workload(Model):
    """An operating system to run on a machine that is found for it.

    It is to machines what a PersistentVolumeClaim is to disks."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: WorkloadSpec = Field(default_factory=WorkloadSpec)
    status: WorkloadStatus | None = None


class BindingTarget(Model):
    """The Host (cluster-scoped, by name) for a Workload."""

    name: DNSSubdomain


class Binding(Model):
    """The body of POST workloads/NAME/binding, which claims the target Host for the Workload
    atomically.

    The answer is 409 if either is taken."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    target: BindingTarget
