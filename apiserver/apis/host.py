"""workload.metal3.io/v1alpha1 Host: one machine of a class, for the owner and the controllers. Tenants cannot read it.

To machines what PersistentVolume is to disks: the provider reports what it can offer (status), the server records who has
it (spec.claimRef). It is the claim record: its name is made of the real host's identity, so that a host has one claim
whatever class, namespace or name it is seen through. Nothing in it is a BMC address or credential.
"""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import Field

from apiserver.apis.base import Model
from apiserver.apis.meta import Conditions, ObjectMeta, OwnerReference
from apiserver.apis.metal3 import BareMetalHostSpec, BareMetalHostStatus
from apiserver.apis.workload import GROUP, VERSION

__all__ = ["GROUP", "VERSION", "Host", "HostOffers", "HostReport", "host_name", "view_uid"]

IDENTITY = uuid.UUID("5b0e6a52-6c8f-5d0a-9a3e-3c1a6d1f7b10")


def host_name(real_uid: str) -> str:
    """The name of the Host of the real host with this uid: opaque, so that tenants may see it (status.provisioning.ID)."""
    return str(uuid.uuid5(IDENTITY, real_uid))


def view_uid(real_uid: str, namespace: str) -> str:
    """The uid of a real host's view in a namespace: stable over offers, claims and restarts, unique over namespaces."""
    return str(uuid.uuid5(IDENTITY, f"{namespace}/{real_uid}"))


class HostSource(Model):
    """The real host at its provider: a BareMetalHost's namespace, name and uid, or what stands for them elsewhere."""

    namespace: str | None = None
    name: str = Field(min_length=1)
    uid: str = Field(min_length=1)


class ClaimRef(Model):
    """The Workload that has the host. Clearing it by hand releases the host in the records, whatever runs on it."""

    namespace: str
    name: str
    uid: str


class TenantMetadata(Model):
    """What the tenant wrote into its view's metadata, on top of the host's own. `removed...` hide the host's."""

    name: str = Field(description="The view's name in the tenant's namespace.")
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    removed_labels: list[str] | None = None
    removed_annotations: list[str] | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None


class HostSpec(Model):
    """Where the host comes from and who has it."""

    class_name: str = Field(min_length=1)
    source: HostSource
    offers: list[str] | None = Field(default=None, description="The namespaces to which the free host is, or was last, offered.")
    claim_ref: ClaimRef | None = None
    view: TenantMetadata | None = None


class HostReport(Model):
    """What the provider says of the host, already without anything of the owner's and filtered by the class's metadata policy.

    `spec` and `status` have a BareMetalHost's shape and are the part of it that tenants may see: no bmc, no secret
    names, no LLDP data, errorMessage scrubbed."""

    name: str = Field(description="Name to show to tenants.")
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    spec: BareMetalHostSpec
    status: BareMetalHostStatus


class HostStatus(Model):
    """What the provider reports. `phase` is set by the server: Available, Bound, Unavailable."""

    phase: Literal["Available", "Bound", "Unavailable"] | None = None
    available: bool = Field(default=False, description="Whether a Workload could have it now, were it not claimed.")
    reason: str | None = Field(default=None, description="Why it is not available: a CamelCase word.")
    message: str | None = Field(default=None, description="The same for people, with what to do.")
    dirty_for: str | None = Field(default=None, description="The only namespace that may have it, for its data is still on the disks.")
    report: HostReport | None = None
    conditions: Conditions | None = None


class Host(Model):
    """A machine that a class can give away."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: HostSpec
    status: HostStatus | None = None


class HostOffers(Model):
    """PUT to hosts/NAME/offers: show the free host in exactly these namespaces. Those that are going away are left out of the answer.

    Idempotent and level-triggered: views are made, refreshed and withdrawn, each in a commit of its own. A claimed host
    is not changed: its view stays with the namespace that has it."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    namespaces: list[str]
