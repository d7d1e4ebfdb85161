"""Namespaces by uid: a name passes to another namespace when it is created again, a uid never does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from apiserver.apis.status import ApiError, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NamespaceUids", "Namespaces"]


class Namespaces(Protocol):
    """Where namespaces are."""

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        """The core/v1 Namespace, or None. `live`: not from a copy that may be old. A copy that lacks it must be doubted by asking the
        source. Raises ApiError (503) when that cannot be done."""


class NamespaceUids:
    """Which namespace has a name now. Without a source namespaces have no uids, and none gets what is reserved for one that has."""

    def __init__(self, source: Namespaces | None) -> None:
        self._source = source

    async def current(self, name: str) -> str:
        """The uid of the namespace, for a claim: asked of the source itself, as a copy may still show the last namespace of that name.
        Whoever claims wrote to the namespace before, so that the answer is no older than it. Raises ApiError (404, 503)."""
        if self._source is None:
            return ""
        found = await self._source.get(name, live=True)
        if found is None:
            raise not_found("", "namespaces", name)
        return _uid(found)

    async def is_now(self, name: str, uid: str) -> bool | None:
        """Return whether the namespace of this name has this uid, as far as the copy knows; None where that cannot be found out now."""
        if self._source is None:
            return not uid
        try:
            found = await self._source.get(name)
        except ApiError:
            return None
        return bool(uid) and found is not None and _uid(found) == uid

    async def has_passed(self, claim: Mapping[str, Any] | None) -> bool:
        """Return whether the claim (a Host's claimRef) was made in a namespace whose name another namespace has now."""
        uid = (claim or {}).get("namespaceUID")
        return claim is not None and isinstance(uid, str) and await self.is_now(claim["namespace"], uid) is False


def _uid(namespace: dict[str, Any]) -> str:
    return str((namespace.get("metadata") or {}).get("uid") or "")
