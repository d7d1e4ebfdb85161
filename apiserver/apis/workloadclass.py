"""Define workload.metal3.io/v1alpha1 WorkloadClass: a source of machines.

It is to machines what a StorageClass is to disks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from apiserver.apis.base import DNSLabel, DNSSubdomain, Model
from apiserver.apis.images import MAX_URL, bad_rule
from apiserver.apis.meta import Conditions, LabelSelector, ObjectMeta
from apiserver.apis.workload import LONGEST_LEASE


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Regex = Annotated[str, Field(max_length=1024), AfterValidator(_compiles)]


class CredentialsSecretRef(Model):
    """The secret with the credentials for the source of machines, in the owner's namespace."""

    namespace: DNSLabel = Field(description="The secret's namespace.")
    name: DNSSubdomain = Field(description="The secret's name.")


class AllowedNamespaces(Model):
    """The namespaces that may use the class. Any of the three rules suffices; without rules, none
    may."""

    names: list[str] | None = Field(default=None, description='Names of namespaces; "*" allows all.')
    name_matches: Regex | None = Field(default=None, description="Regular expression that the whole name matches.")
    selector: LabelSelector | None = Field(default=None, description="Labels of the namespace.")


class MetadataPolicy(Model):
    """The labels and annotations of a host that tenants may see. Annotations of the Baremetal Operator and of kubectl never pass."""

    labels_match: Regex | None = Field(default=None, description="Regular expression that a label's whole key matches.")
    annotations_match: Regex | None = Field(default=None, description="Regular expression that an annotation's whole key matches.")


class OfferPolicy(Model):
    """How free hosts are shown to namespaces."""

    max_per_namespace: int | None = Field(
        default=None, ge=0, description="At most this many free hosts are offered in one namespace; all when empty."
    )
    require_healthy: bool = Field(
        default=True,
        description="Whether a host whose BMC reports a problem (condition Healthy is False) is kept from new Workloads. A Workload that "
        "has such a host keeps it. Hosts of unknown health are offered.",
    )


def requires_healthy(class_spec: Mapping[str, Any]) -> bool:
    """Return whether the class keeps hosts that are not healthy from new Workloads."""
    return bool((class_spec.get("offer") or {}).get("requireHealthy", True))


CleaningLevel = Literal["metadata", "full", "disabled"]


class CleaningPolicy(Model):
    """Whether disks are wiped between tenants."""

    mode: CleaningLevel = Field(
        default="metadata",
        description="What happens to disks at the release, unless the Workload says otherwise. metadata: partition tables are wiped, and "
        "the blocks stay readable. full: the disks are deleted with the machine, which only provisioners of virtual machines can promise. "
        "disabled: nothing, and the host stays with the tenant's namespace.",
    )
    tenant_may_disable: bool = Field(
        default=False, description="Whether a tenant may turn cleaning off; the host then stays with the tenant's namespace."
    )


class ReclaimRules(Model):
    """What may happen to a host whose Workload is deleted."""

    tenant_may_retain: bool = Field(
        default=False,
        description="Whether a Workload's reclaimPolicy may be Retain. Such a host is out of service, running, until the owner frees it.",
    )
    tenant_may_mark_unhealthy: bool = Field(
        default=True,
        description="Whether a tenant's mark capm3.metal3.io/unhealthy keeps a host out of service after its claim, until the owner has "
        "repaired it. If not, the mark ends with the claim.",
    )
    max_unhealthy_per_namespace: int = Field(
        default=1,
        ge=0,
        description="How many hosts of the class a namespace may keep out of service in this way; further marks end with the claim.",
    )
    abandoned: Literal["Reclaim", "Keep"] = Field(
        default="Reclaim",
        description="What becomes of a host that is claimed by a Workload which is gone: powered off, cleaned and offered again, or kept.",
    )
    abandoned_grace_period_seconds: int = Field(
        default=86400,
        ge=0,
        le=31536000,
        description="The seconds for which such a host is left unchanged before it is reclaimed, a day by default; a condition of its "
        "Host reports it meanwhile.",
    )


def retain_problem(spec: Mapping[str, Any], class_spec: Mapping[str, Any]) -> str | None:
    """Return why the class does not allow the Workload's reclaimPolicy, or None."""
    if spec.get("reclaimPolicy") != "Retain" or (class_spec.get("reclaim") or {}).get("tenantMayRetain"):
        return None
    return "the class does not allow Retain: use Delete, or ask the class's owner for reclaim.tenantMayRetain"


def unhealthy_limit(class_spec: Mapping[str, Any]) -> int:
    """Return how many hosts of the class a namespace may keep out of service by marking them
    unhealthy."""
    rules = class_spec.get("reclaim") or {}
    return int(rules.get("maxUnhealthyPerNamespace", 1)) if rules.get("tenantMayMarkUnhealthy", True) else 0


def _is_rule(rule: str) -> str:
    if (problem := bad_rule(rule)) is not None:
        raise ValueError(problem)
    return rule


ImageRule = Annotated[str, Field(min_length=1, max_length=MAX_URL), AfterValidator(_is_rule)]
DeployMethod = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$", max_length=63)]


class ImagePolicy(Model):
    """The URLs of images and checksums that may be fetched for tenants."""

    allow: list[ImageRule] | None = Field(
        default=None,
        max_length=64,
        description="The rules of which a URL must match one: a scheme (https://), a host with or without a port (images.example.com), or "
        "a URL's beginning by whole path segments (https://images.example.com/os/). Only a rule that names the host opens loopback, "
        "link-local and in-cluster hosts. When not given: https, http and oci, and the provider's own schemes.",
    )


class CustomDeployPolicy(Model):
    """The deploy methods that tenants may use instead of an image."""

    methods: list[DeployMethod] | None = Field(
        default=None, max_length=64, description="Names of the methods that Workloads may use; none when not given."
    )


_PREFIX = r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?"
_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
SecretType = Annotated[str, Field(min_length=1, max_length=253)]


class SecretRules(Model):
    """The secrets that may be sent to machines as first-boot data.

    A secret must meet one of the rules. Without rules, any secret may be sent."""

    required_label: str | None = Field(
        default=None,
        max_length=512,
        pattern=f"^{_PREFIX}{_WORD}(=({_WORD})?)?$",
        description="A label that the secret bears: KEY, or KEY=VALUE.",
    )
    allowed_types: list[SecretType] | None = Field(
        default=None, max_length=64, description="Types of secrets that need no label, such as cluster.x-k8s.io/secret."
    )


class LeaseRules(Model):
    """How long Workloads may keep hosts. Without rules, a Workload has a lease only if it asks for
    one."""

    default_duration_seconds: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_LEASE,
        description="The seconds from the binding until a Workload without spec.lease is deleted; maxDurationSeconds when empty. It does "
        "not hold for hosts that are adopted or recovered as they run, nor for Workloads that have a host already.",
    )
    max_duration_seconds: int | None = Field(
        default=None, ge=1, le=LONGEST_LEASE, description="The longest lease that a Workload may ask for; any when empty."
    )
    warning_seconds: int = Field(
        default=86400,
        ge=0,
        le=LONGEST_LEASE,
        description="How long before its end a Workload's condition LeaseExpiring and an event say so; half of the lease if that is less.",
    )


class WorkloadClassSpec(Model):
    """A source of machines, and the conditions for tenants."""

    provisioner: str = Field(min_length=1, description="Name of the provider, such as metal3.io/baremetalhost.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="The provider's own parameters.")
    credentials_secret_ref: CredentialsSecretRef | None = Field(
        default=None, description="Secret with the credentials, such as a kubeconfig."
    )
    allowed_namespaces: AllowedNamespaces | None = Field(
        default=None, description="Which namespaces may use the class; no namespace if empty."
    )
    metadata: MetadataPolicy | None = Field(default=None, description="Which labels and annotations of the hosts tenants see.")
    offer: OfferPolicy | None = Field(default=None, description="How many free hosts each namespace sees.")
    cleaning: CleaningPolicy | None = Field(default=None, description="Whether disks are wiped between tenants.")
    reclaim: ReclaimRules | None = Field(default=None, description="What may become of a host whose Workload is deleted.")
    images: ImagePolicy | None = Field(default=None, description="Which images and checksums may be fetched.")
    lease: LeaseRules | None = Field(default=None, description="How long Workloads may keep hosts; for ever when empty.")
    secrets: SecretRules | None = Field(
        default=None,
        description="Which secrets may be sent to machines; all but those that Kubernetes or Cluster API keep for themselves when empty.",
    )
    custom_deploy: CustomDeployPolicy | None = Field(default=None, description="Which deploy methods may be used; none when empty.")
    host_selector: LabelSelector | None = Field(
        default=None, description="Which of the source's hosts belong to the class; all when empty."
    )


class HostCounts(Model):
    """The number of hosts of the class, by their availability."""

    total: int = Field(default=0, description="All hosts of the class.")
    free: int = Field(default=0, description="Hosts that can be claimed now.")
    claimed: int = Field(default=0, description="Hosts that Workloads have.")
    unavailable: int = Field(default=0, description="All others: total is free, claimed and unavailable together.")
    unhealthy: int = Field(
        default=0,
        description="Hosts with a problem: marked as unhealthy, in error, gone, quarantined or orphaned.",
    )
    dirty: int = Field(default=0, description="Hosts whose disks hold a namespace's data.")
    reserved: int = Field(default=0, description="Free hosts that Reservations keep for one namespace each.")


class WorkloadClassStatus(Model):
    """Whether the source answers (condition Connected), and the number of its hosts."""

    observed_generation: int | None = Field(default=None, description="The metadata.generation that this status is about.")
    conditions: Conditions | None = Field(default=None, description="Connected says whether the source of machines answers.")
    hosts: HostCounts | None = Field(default=None, description="How many hosts there are.")


class WorkloadClass(Model):
    """A source of machines, and which namespaces may have them."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: WorkloadClassSpec
    status: WorkloadClassStatus | None = None
