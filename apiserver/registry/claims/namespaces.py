"""Identify namespaces by uid: a new namespace may reuse a name, but never a uid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from apiserver.apis.status import ApiError, not_found


class Namespaces(Protocol):
    """A source of namespaces."""

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        """Return the core/v1 Namespace, or None.

        With `live`, the answer never comes from a possibly stale cache. If a cache lacks the
        namespace, the source must be asked. Raises ApiError (503) if that fails."""


class NamespaceUids:
    """Finds out which namespace has a name now.

    Without a source, namespaces have no uids, and no namespace gets a host that is reserved for a
    uid."""

    def __init__(self, source: Namespaces | None) -> None:
        self._source = source

    async def current(self, name: str) -> str:
        """Return the namespace's uid for a claim, from the source itself.

        A cache might still have an earlier namespace of the same name. The claiming client has
        written to the namespace before, so the answer is recent enough. Raises ApiError (404,
        503)."""
        if self._source is None:
            return ""
        found = await self._source.get(name, live=True)
        if found is None:
            raise not_found("", "namespaces", name)
        return _uid(found)

    async def is_now(self, name: str, uid: str) -> bool | None:
        """Return whether the namespace of this name has this uid, according to the cache; None if
        unknown."""
        if self._source is None:
            return not uid
        try:
            found = await self._source.get(name)
        except ApiError:
            return None
        return bool(uid) and found is not None and _uid(found) == uid

    async def has_passed(self, claim: Mapping[str, Any] | None) -> bool:
        """Return whether another namespace now has the name of the claim's namespace.

        `claim` is a Host's claimRef."""
        uid = (claim or {}).get("namespaceUID")
        return claim is not None and isinstance(uid, str) and await self.is_now(claim["namespace"], uid) is False


def _uid(namespace: dict[str, Any]) -> str:
    return str((namespace.get("metadata") or {}).get("uid") or "")
