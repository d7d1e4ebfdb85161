"""Define the types that all kinds share: metadata, references, selectors, conditions.

They belong to meta/v1 and partly to core/v1."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from apiserver.apis.base import Model, Timestamp

ATOMIC = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})
"""The configuration of objects that have one manager as a whole."""


class OwnerReference(Model):
    """An object that this one depends on, for garbage collection."""

    api_version: str = Field(min_length=1, description="The owner's API version.")
    kind: str = Field(min_length=1, description="The owner's kind.")
    name: str = Field(min_length=1, description="The owner's name.")
    uid: str = Field(min_length=1, description="The owner's uid.")
    controller: bool | None = Field(default=None, description="Whether the owner is the managing controller.")
    block_owner_deletion: bool | None = Field(default=None, description="Whether a foreground deletion of the owner waits for this object.")


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

    kind: str | None = Field(default=None, description="The object's kind.")
    namespace: str | None = Field(default=None, description="The object's namespace.")
    name: str | None = Field(default=None, description="The object's name.")
    uid: str | None = Field(default=None, description="The object's uid.")
    api_version: str | None = Field(default=None, description="The object's API version.")
    resource_version: str | None = Field(default=None, description="The version of the object to which the reference was made.")
    field_path: str | None = Field(default=None, description="The part of the object that is meant, such as spec.containers{name}.")


class SecretReference(Model):
    """A secret by name. A namespace, where it is allowed, must be the referrer's own."""

    model_config = ATOMIC

    name: str | None = Field(default=None, description="The secret's name.")
    namespace: str | None = Field(
        default=None, description="The secret's namespace; if given, it must be that of the object that names the secret."
    )


SelectorValue = Annotated[str, Field(max_length=253)]
"""A label's value has at most 63 characters. Longer ones match nothing, but earlier versions
accepted them."""


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str = Field(max_length=317, description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label is compared with the values.")
    values: list[SelectorValue] | None = Field(
        default=None, max_length=256, description="The values to compare with: some for In and NotIn, none for Exists and DoesNotExist."
    )


class LabelSelector(Model):
    """A label query: matchLabels and matchExpressions are ANDed; an empty selector matches
    everything."""

    model_config = ATOMIC

    match_labels: dict[str, SelectorValue] | None = Field(
        default=None, max_length=64, description="Labels that must all be present with these values."
    )
    match_expressions: list[LabelSelectorRequirement] | None = Field(
        default=None, max_length=64, description="Expressions that must all hold."
    )


class Condition(Model):
    """One aspect of an object's state (meta/v1 Condition)."""

    type: str = Field(min_length=1, max_length=316, description="The aspect, in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    observed_generation: int | None = Field(default=None, ge=0, description="The metadata.generation that the condition is about.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: str = Field(min_length=1, max_length=1024, description="Why the status is as it is, in one CamelCase word.")
    message: str = Field(max_length=32768, description="The reason as a sentence for people.")


Conditions = Annotated[
    list[Condition],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]
"""Conditions as a map by type, so that several managers can own one each."""
