"""Define the types that all kinds share: metadata, references, selectors, conditions.

They belong to meta/v1 and partly to core/v1."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from apiserver.apis.base import Model, Timestamp

__all__ = [
    "Condition",
    "Conditions",
    "LabelSelector",
    "LabelSelectorRequirement",
    "ManagedFieldsEntry",
    "ObjectMeta",
    "ObjectReference",
    "OwnerReference",
    "SecretReference",
]


ATOMIC = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})
"""The configuration of objects that have one manager as a whole."""


class OwnerReference(Model):
    """An object that this one depends on, for garbage collection."""

    api_version: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    name: str = Field(min_length=1)
    uid: str = Field(min_length=1)
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ManagedFieldsEntry(Model):
    """The fields that one manager owns, in the FieldsV1 form."""

    manager: str | None = None
    operation: str | None = None
    api_version: str | None = None
    time: Timestamp | None = None
    fields_type: str | None = None
    fields_v1: dict[str, Any] | None = Field(default=None, alias="fieldsV1")
    subresource: str | None = None


class ObjectMeta(Model):
    """Standard object metadata. The registry overwrites or keeps the fields that the system
    sets."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None
    managed_fields: list[ManagedFieldsEntry] | None = None
    self_link: str | None = None


class ObjectReference(Model):
    """A reference to an object. It round-trips exactly: nothing is added."""

    model_config = ATOMIC

    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    api_version: str | None = None
    resource_version: str | None = None
    field_path: str | None = None


class SecretReference(Model):
    """A secret by name. A namespace, where it is allowed, must be the referrer's own."""

    model_config = ATOMIC

    name: str | None = None
    namespace: str | None = None


SelectorValue = Annotated[str, Field(max_length=253)]
"""A label's value has at most 63 characters. Longer ones match nothing, but earlier versions
accepted them."""


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str = Field(max_length=317)
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[SelectorValue] | None = Field(default=None, max_length=256)


class LabelSelector(Model):
    """A label query: matchLabels and matchExpressions are ANDed; an empty selector matches
    everything."""

    model_config = ATOMIC

    match_labels: dict[str, SelectorValue] | None = Field(default=None, max_length=64)
    match_expressions: list[LabelSelectorRequirement] | None = Field(default=None, max_length=64)


class Condition(Model):
    """One aspect of an object's state (meta/v1 Condition)."""

    type: str = Field(min_length=1, max_length=316)
    status: Literal["True", "False", "Unknown"]
    observed_generation: int | None = Field(default=None, ge=0)
    last_transition_time: Timestamp
    reason: str = Field(min_length=1, max_length=1024)
    message: str = Field(max_length=32768)


Conditions = Annotated[
    list[Condition],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]
"""Conditions as a map by type, so that several managers can own one each."""
