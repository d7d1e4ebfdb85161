"""Define two kinds for tests: Widget, namespaced and with every feature of a kind, and Rack,
cluster-scoped and plain."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from apiserver.apis.base import Model, Quantity, Timestamp
from apiserver.apis.meta import ObjectMeta
from apiserver.registry.generic.resource import Column, Resource


class Part(Model):
    """A part of a widget."""

    name: str
    weight: Quantity | None = None


class WidgetSpec(Model):
    """The desired state of a widget."""

    size: int = Field(default=1, ge=1, description="How large it is.")
    mode: Literal["fast", "slow"] = "slow"
    parts: list[Part] | None = None
    settings: dict[str, str] | None = None
    free: dict[str, Any] | None = None
    main: Part | None = Field(default=None, description="The part that matters.")


class WidgetStatus(Model):
    """The state of a widget."""

    phase: str | None = None
    ready: bool | None = None
    since: Timestamp | None = None


class Widget(Model):
    """A kind with every feature."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: WidgetSpec = Field(default_factory=WidgetSpec)
    status: WidgetStatus | None = None


class Rack(Model):
    """A plain kind."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    height: int | None = None


WIDGETS = Resource(
    group="example.com",
    version="v1",
    kind="Widget",
    plural="widgets",
    singular="widget",
    short_names=("wd",),
    categories=("all",),
    model=Widget,
    columns=(
        Column("Size", "spec.size", "integer"),
        Column("Ready", "status.ready", "boolean"),
        Column("Phase", "status.phase", priority=1),
        Column("Age", "metadata.creationTimestamp", "date"),
    ),
    fields={"spec.mode": "spec.mode"},
    subresources={"status": frozenset({"get", "update", "patch"}), "binding": frozenset({"create"})},
)
RACKS = Resource(
    group="example.com",
    version="v1",
    kind="Rack",
    plural="racks",
    model=Rack,
    namespaced=False,
    verbs=frozenset({"get", "list", "create", "watch"}),
)
