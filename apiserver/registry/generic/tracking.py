"""Manage the fields of one kind's objects: metadata.managedFields and server-side apply.

This is a thin layer over apiserver.registry.fieldmanager. Objects are tracked as they arrive at
admission, as in kube-apiserver. Webhooks see the owners of fields, and a field that a webhook
changes has no owner until a client writes it. A view is tracked as it is stored, because the effect
of a write to it is not known earlier.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from apiserver.apis.base import Model
from apiserver.apis.status import ApiError, bad_request
from apiserver.registry.fieldmanager import (
    EMPTY,
    ApplyConflict,
    ApplyRefused,
    FieldSet,
    SchemaMismatch,
    Type,
    apply,
    compile_schema,
    track_update,
)
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.schema import model_schema

RESET = {"": FieldSet.of(("f:status",)), "status": FieldSet.of(("f:metadata",), ("f:spec",))}
"""The fields that a request cannot change, by subresource."""


@lru_cache(maxsize=256)
def schema_of(model: type[Model]) -> Type:
    """Return the schema of a kind's objects."""
    return compile_schema(model_schema(model))


class Tracking:
    """The field management of the objects of `resource`."""

    def __init__(self, resource: Resource) -> None:
        self._api_version = resource.api_version
        self._schema = schema_of(resource.model)
        self._reset = RESET if "status" in (resource.subresources or {}) else {"": EMPTY}

    def track(
        self, context: Context, old: dict[str, Any] | None, new: dict[str, Any], sent: Any, subresource: str, now: str
    ) -> dict[str, Any]:
        """Return `new` with its managedFields.

        `old` is None on creation. `sent` are the managedFields in the client's object, None if it
        had none."""
        metadata = {k: v for k, v in new["metadata"].items() if k != "managedFields"}
        if isinstance(sent, list):
            metadata["managedFields"] = sent
        fields = track_update(
            self._schema,
            old,
            {**new, "metadata": metadata},
            manager=context.field_manager,
            api_version=self._api_version,
            now=now,
            subresource=subresource,
            reset=self._reset.get(subresource, EMPTY),
        )
        return with_fields(new, fields)

    def apply(
        self,
        context: Context,
        live: dict[str, Any] | None,
        applied: dict[str, Any],
        subresource: str,
        now: str,
        *,
        force: bool,
        filled: FieldSet = EMPTY,
    ) -> dict[str, Any]:
        """Return `live` after a server-side apply of `applied`, with managedFields. Raises
        ApiError.

        `live` is None if the object is created. For `filled`, see Strategy.filled."""
        try:
            return apply(
                self._schema,
                live,
                applied,
                manager=context.field_manager,
                api_version=self._api_version,
                now=now,
                force=force,
                subresource=subresource,
                reset=self._reset.get(subresource, EMPTY),
                filled=filled,
            )
        except ApplyConflict as error:
            raise ApiError(409, "Conflict", str(error), details={"causes": error.causes()}) from None
        except (ApplyRefused, SchemaMismatch) as error:
            raise bad_request(str(error)) from None


def with_fields(obj: dict[str, Any], fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the object with these managedFields, or without any for []."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    if fields:
        metadata["managedFields"] = fields
    return {**obj, "metadata": metadata}
