"""Define workload.metal3.io/v1alpha1 WorkloadSet: a number of equal Workloads with stable names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from apiserver.apis.base import Model
from apiserver.apis.meta import Conditions, LabelSelector, ObjectMeta
from apiserver.apis.names import GROUP as GROUP
from apiserver.apis.names import VERSION as VERSION
from apiserver.apis.workload import WorkloadSpec

MOST_REPLICAS = 1000
"""The largest number of members of a set."""
LONGEST_NAME = 63 - len(f"-{MOST_REPLICAS - 1}")
"""The characters of a set's name, so that the names of its members are DNS labels."""


class TemplateMeta(Model):
    """The metadata of the members."""

    labels: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=64, description="Labels of the members. The selector must match them."
    )
    annotations: dict[str, str] | None = Field(default=None, max_length=64, description="Annotations of the members.")


class WorkloadTemplate(Model):
    """What each member is made from."""

    metadata: TemplateMeta = Field(default_factory=TemplateMeta, description="Labels and annotations of the members.")
    spec: WorkloadSpec = Field(
        default_factory=WorkloadSpec,
        description="The spec of the members, with the rules of a Workload. hostRef is refused, because a host has one Workload.",
    )


class RollingUpdate(Model):
    """The pace of a rolling update."""

    max_unavailable: int = Field(
        default=1, ge=1, le=MOST_REPLICAS, description="The most members that are installed, or fail, at the same time."
    )


class UpdateStrategy(Model):
    """What a change of the template does to members."""

    type: Literal["OnDelete", "RollingUpdate"] = Field(
        default="OnDelete",
        description="OnDelete keeps members as they are; a member that you delete is created from the new template. RollingUpdate is the "
        "consent to wipe and install the members again, one after the other.",
    )
    rolling_update: RollingUpdate | None = Field(default=None, description="The pace of RollingUpdate.")


class WorkloadSetSpec(Model):
    """How many members there are, and what each is made from."""

    replicas: int = Field(
        default=1, ge=0, le=MOST_REPLICAS, description="The number of members. Fewer delete those of the highest numbers."
    )
    selector: LabelSelector = Field(description="The labels of the members; it must match the template's. Immutable.")
    template: WorkloadTemplate = Field(description="What each member is made from.")
    update_strategy: UpdateStrategy | None = Field(
        default=None, description="What a change of the template does to members; OnDelete when empty."
    )
    min_available: int | None = Field(
        default=None,
        ge=1,
        le=MOST_REPLICAS,
        description="All or nothing: no member gets a host before there are hosts for this many. At most replicas.",
    )
    min_ready_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86400,
        description="The seconds for which a member is Ready before it counts as available, such as the time to start its system.",
    )
    paused: bool | None = Field(
        default=None, description="Whether members are left as they are: none is created, changed or deleted, and only status is written."
    )


class WorkloadSetStatus(Model):
    """The observed state. Conditions: Available, Progressing, Ready."""

    observed_generation: int | None = Field(default=None, description="The metadata.generation that this status is about.")
    replicas: int | None = Field(default=None, description="The number of members that exist.")
    ready_replicas: int | None = Field(default=None, description="The number of members that are Ready.")
    available_replicas: int | None = Field(default=None, description="The number of members that have been Ready for minReadySeconds.")
    updated_replicas: int | None = Field(default=None, description="The number of members that were made from the present template.")
    conditions: Conditions | None = Field(default=None, description="Available, Progressing and Ready; Stalled where only a change helps.")


class WorkloadSet(Model):
    """A number of Workloads that are made from one template.

    The members are named NAME-0, NAME-1 and so on, as those of a StatefulSet."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: WorkloadSetSpec
    status: WorkloadSetStatus | None = None


class ScaleSpec(Model):
    """The wanted number of members."""

    replicas: int = Field(default=0, description="The number of members, with the limits of the set.")


class ScaleStatus(Model):
    """The present number of members."""

    replicas: int = Field(default=0, description="The number of members that exist.")
    selector: str | None = Field(default=None, description="The label selector of the members as text.")


class Scale(Model):
    """The subresource scale (autoscaling/v1), which kubectl scale and the HorizontalPodAutoscaler
    use."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: ScaleSpec = Field(default_factory=ScaleSpec)
    status: ScaleStatus | None = None
