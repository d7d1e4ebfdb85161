"""Field management of one kind: who wrote what (metadata.managedFields), and server-side apply. A thin layer over registry.fields.

Tracked on the object as it comes to admission, as kube-apiserver does: webhooks see who owns what, and what they change is nobody's
until somebody writes it. (A view is tracked as it is stored: what a write of it comes to is known no sooner.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.status import ApiError, bad_request
from apiserver.registry.fieldmanager import (
    EMPTY,
    ApplyConflict,
    ApplyRefused,
    FieldSet,
    SchemaMismatch,
    apply,
    compile_schema,
    keep_times,
    track_update,
)
from apiserver.registry.generic.schema import structural_schema

if TYPE_CHECKING:
    from apiserver.registry.generic.context import Context
    from apiserver.registry.generic.resource import Resource

__all__ = ["Tracking"]

RESET = {"": FieldSet.of(("f:status",)), "status": FieldSet.of(("f:metadata",), ("f:spec",))}
"""What a request cannot change, by the subresource it goes through."""


class Tracking:
    """The field management of `resource`'s objects."""

    def __init__(self, resource: Resource) -> None:
        self._api_version = resource.api_version
        self._schema = compile_schema(structural_schema(resource))
        self._reset = RESET if "status" in (resource.subresources or {}) else {"": EMPTY}

    def track(
        self, context: Context, old: dict[str, Any] | None, new: dict[str, Any], sent: Any, subresource: str, now: str
    ) -> dict[str, Any]:
        """`new` with its managedFields. `old`: None on creation. `sent`: the managedFields in the client's object, None if it had none."""
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
        """What a server-side apply of `applied` makes of `live` (None: it is created), managedFields included. Raises ApiError.
        `filled`: see Strategy."""
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
    """The object with these managedFields; with none at all for []."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    if fields:
        metadata["managedFields"] = fields
    return {**obj, "metadata": metadata}


def settled(live: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` with `live`'s times in managedFields where nothing else differs, so that a write of the same is no write."""
    return keep_times(live, new)
