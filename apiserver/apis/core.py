"""Define a small core/v1 for servers that run alone (dev mode): Namespace, Secret, ConfigMap and
Event.

Behind a kube-apiserver, that server has these kinds. Missing here: the finalize subresource of
namespaces, and the type-specific keys of secrets.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from apiserver.apis.base import Model, Timestamp
from apiserver.apis.meta import Condition, ObjectMeta, ObjectReference

GROUP, VERSION = "", "v1"
MAX_BYTES = 1024 * 1024
"""The limit for all data of a Secret or ConfigMap, as in Kubernetes."""


DataKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class NamespaceSpec(Model):
    """The finalizers that must be removed before the namespace is deleted."""

    finalizers: list[str] = Field(default_factory=lambda: ["kubernetes"])


class NamespaceStatus(Model):
    """Active, or Terminating: nothing new can be created in the namespace."""

    phase: Literal["Active", "Terminating"] = "Active"
    conditions: list[Condition] | None = None


class Namespace(Model):
    """A namespace for the objects of one tenant."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: NamespaceSpec = Field(default_factory=NamespaceSpec)
    status: NamespaceStatus = Field(default_factory=NamespaceStatus)


class Secret(Model):
    """Confidential data by key, base64 encoded. `stringData` is write-only and is merged into
    `data`."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    data: dict[DataKey, str] | None = Field(default=None, description="The data, each value base64 encoded.")
    string_data: dict[DataKey, str] | None = Field(default=None, description="For writing only: values as plain text, merged into data.")
    type: str = Field(default="Opaque", description="What kind of secret it is.")
    immutable: bool | None = Field(default=None, description="Whether the data can no longer be changed.")

    @model_validator(mode="after")
    def _merge_string_data(self) -> Self:
        if self.string_data:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in self.string_data.items()}
            self.data = {**(self.data or {}), **encoded}
        self.string_data = None
        _check_base64("data", self.data)
        _limit(self.data)
        return self


class ConfigMap(Model):
    """Configuration by key."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    data: dict[DataKey, str] | None = Field(default=None, description="The data, as text.")
    binary_data: dict[DataKey, str] | None = Field(default=None, description="Data that is no text, base64 encoded.")
    immutable: bool | None = Field(default=None, description="Whether the data can no longer be changed.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if shared := (self.data or {}).keys() & (self.binary_data or {}).keys():
            raise ValueError(f"{min(shared)!r} is in data and in binaryData: leave it in one of them")
        _check_base64("binaryData", self.binary_data)
        _limit({**(self.data or {}), **(self.binary_data or {})})
        return self


class EventSource(Model):
    """The component that reported an event."""

    component: str | None = None
    host: str | None = None


class EventSeries(Model):
    """How often an event has happened, as newer clients count it."""

    count: int | None = None
    last_observed_time: Timestamp | None = None


class Event(Model):
    """A report of an event in the life of an object, for people. It is deleted after a while."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    involved_object: ObjectReference
    reason: str | None = None
    message: str | None = None
    source: EventSource | None = None
    first_timestamp: Timestamp | None = None
    last_timestamp: Timestamp | None = None
    event_time: Timestamp | None = None
    count: int | None = None
    type: str | None = None
    action: str | None = None
    related: ObjectReference | None = None
    reporting_component: str | None = None
    reporting_instance: str | None = None
    series: EventSeries | None = None


def _check_base64(field: str, data: dict[str, str] | None) -> None:
    # This is not a validator of the values, because its error would quote the value.
    for key, value in (data or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"{field}[{key}] is not base64: encode it, or put it into stringData as it is") from None


def _limit(data: dict[str, Any] | None) -> None:
    if data and sum(len(key) + len(value) for key, value in data.items()) > MAX_BYTES * 4 // 3:
        raise ValueError("data must have at most 1048576 bytes in all")
