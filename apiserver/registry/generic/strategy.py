"""Define the hooks of a kind around creation, update, deletion, and the commit of an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from apiserver.registry.fieldmanager import EMPTY, FieldSet
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.metadata import mark_deleted
from storage.base import Operation


class Strategy:
    """The behaviour of a plain kind with a status subresource. Kinds with their own rules override
    hooks.

    Objects are JSON-shaped dicts. A hook may change and return its argument. Hooks raise ApiError
    to refuse a write."""

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Remove fields that a creator may not set, and fill fields that depend on other objects.

        This happens before validation."""
        new.pop("status", None)
        return new

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Keep the main resource from writing status, and status from writing anything else.

        This happens before validation."""
        if subresource == "status":
            return {**old, "status": new["status"]} if "status" in new else {k: v for k, v in old.items() if k != "status"}
        new.pop("status", None)
        return {**new, "status": old["status"]} if "status" in old else new

    def check_access(self, entry: Entry) -> None:
        """Raise ApiError (404), before an update or a deletion, for an object that the client may
        no longer see."""

    def mark_deleted(self, old: dict[str, Any], propagation: str) -> dict[str, Any] | None:
        """Return the object marked as deleted, which stays as long as something keeps it.

        Usually finalizers keep it.

        Returns None if it can be removed at once."""
        return mark_deleted(old, propagation)

    def may_end(self, new: dict[str, Any]) -> bool:
        """Return whether an update removes the object, which is marked as deleted and no longer
        kept."""
        return not new["metadata"].get("finalizers")

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

    def releases(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        """Return whether an update is part of a release, which may use the last space of a full
        store."""
        return False

    async def operations(
        self, context: Context, entry: Entry | None, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Return the object as it is stored, and the operations on *other* objects in the same
        commit.

        Returns `old` itself if nothing is to be stored. `new` is validated and admitted; `entry`
        and `old` are None on creation. Changes that the client makes in another object by this
        write are validated and admitted by that object's registry (`admit_new`, `admit_change`,
        `admit_deletion`). `Registry.put` of its own registry stores every object, and checks its
        size."""
        return new, []

    def operations_of_removal(self, entry: Entry, last: dict[str, Any]) -> list[Operation]:
        """Return the operations on *other* objects in the commit that removes this one."""
        return []

    def check_commit(self, old: dict[str, Any] | None, new: dict[str, Any], operations: Sequence[Operation], *, follows: bool) -> None:
        """Raise ApiError (413) when the object and the others in the commit are too large
        together."""

    async def after_commit(self, context: Context, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """Carry out the consequences of a durable write, each in its own commit.

        A crash may interrupt this at any point, so a later request must repeat it. An ApiError
        becomes the answer, but does not undo the write."""


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
