"""Define the hooks of a kind: around creation, update and deletion, and companions in the
commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from apiserver.registry.fieldmanager import EMPTY, FieldSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apiserver.registry.generic.attributes import Attributes
    from apiserver.registry.generic.context import Context
    from storage.base import Operation

__all__ = ["Admission", "AdmitEverything", "Strategy"]


class Strategy:
    """The behaviour of a plain kind with a status subresource. Kinds with their own rules override
    hooks.

    Objects are JSON-shaped dicts. A hook may change and return its argument. Hooks raise ApiError
    to refuse a write."""

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Remove what a creator may not set, and fill what depends on other objects, before
        validation."""
        new.pop("status", None)
        return new

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Keep the main resource from writing status, and status from writing anything else.

        This happens before validation."""
        if subresource == "status":
            return {**old, "status": new["status"]} if "status" in new else {k: v for k, v in old.items() if k != "status"}
        new.pop("status", None)
        return {**new, "status": old["status"]} if "status" in old else new

    def prepare_delete(self, old: dict[str, Any]) -> dict[str, Any]:
        """Add the finalizers that the object needs before it is deleted or marked as deleted.

        The hook may change and return the object."""
        return old

    def fill(self, old: dict[str, Any] | None, new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Fill the values that the server chooses for fields that the client left out.

        This happens after field managers were recorded and before validation. The values therefore
        have no owner, like those of mutating admission in kube-apiserver. A client that does not
        send them next time does not give anything up."""
        return new

    def filled(self, obj: dict[str, Any]) -> FieldSet:
        """Return the fields of a stored object that the server may have filled.

        Before the first apply they belong to no client."""
        return EMPTY

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Return causes for refusing the object, after validation by the model. `old` is None on
        creation."""
        return []

    def companions(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[Operation]:
        """Return operations on *other* resources for the same commit. `new` is None for a
        deletion."""
        return []

    def check_commit(self, old: dict[str, Any] | None, new: dict[str, Any], operations: Sequence[Operation], *, follows: bool) -> None:
        """Raise ApiError (413) if the object and its companions are too large for one commit."""

    async def after_commit(self, new: dict[str, Any]) -> None:
        """Continue after a durable write with work whose parts are commits of their own.

        A crash may interrupt it at any point, so a caller must be able to request it again."""


class Admission(Protocol):
    """Decides whether a write may happen, and may change the object that is about to be stored."""

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Return the object to store. Raises ApiError.

        The result is `attributes.new` itself (None for DELETE), or a changed, normalized object."""


class AdmitEverything:
    """Admits every write, for compositions without admission, such as tests."""

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Return the object unchanged."""
        return attributes.new
