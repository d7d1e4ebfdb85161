"""What a kind adds to the generic registry: hooks around creation, update and deletion, and companions in the commit."""

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
    """A plain kind with a status subresource: nothing added. Kinds with rules of their own override what they need.

    Objects are JSON-shaped dicts; what a hook is given it may change and return. Hooks raise ApiError to refuse."""

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Before validation: drop what a creator may not set, fill what depends on other objects."""
        new.pop("status", None)
        return new

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Before validation: the main resource cannot write status, and status cannot write anything else."""
        if subresource == "status":
            return {**old, "status": new["status"]} if "status" in new else {k: v for k, v in old.items() if k != "status"}
        new.pop("status", None)
        return {**new, "status": old["status"]} if "status" in old else new

    def prepare_delete(self, old: dict[str, Any]) -> dict[str, Any]:
        """Before the object is deleted, or marked as deleted: what has to hold it. It may change and return it."""
        return old

    def fill(self, old: dict[str, Any] | None, new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """After the fields' managers were noted, before validation: what the server chooses where the client left it out. So it is
        nobody's, as what mutating admission fills in kube-apiserver, and a client that does not send it next time gives up nothing."""
        return new

    def filled(self, obj: dict[str, Any]) -> FieldSet:
        """The fields of a stored object that the server may have filled: they belonged to no client before the first apply."""
        return EMPTY

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """After the model: causes for which the object is refused. `old` is None on creation."""
        return []

    def companions(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[Operation]:
        """Operations on *other* resources that belong in the same commit. `new` is None when the object goes away."""
        return []

    def check_commit(self, old: dict[str, Any] | None, new: dict[str, Any], operations: Sequence[Operation], *, follows: bool) -> None:
        """Before the commit of the object and its companions: whether they are too much together. Raises ApiError (413)."""

    async def after_commit(self, new: dict[str, Any]) -> None:
        """After a write is durable: work of which every part is a commit of its own. May be cut short at any point by a
        crash, so somebody must ask for it again."""


class Admission(Protocol):
    """Decides whether a write may happen, and may change it. Called with what is about to be stored."""

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """The object to store: `attributes.new` itself (None for DELETE), or a changed one, normalized. Raises ApiError."""


class AdmitEverything:
    """No admission: for parts that are composed without one, such as tests."""

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Lets everything pass unchanged."""
        return attributes.new
