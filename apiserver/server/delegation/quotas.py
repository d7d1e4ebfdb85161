"""Return the management cluster's ResourceQuotas from an informer, with this server's later
writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from apiserver.admission.resourcequota import QuotaConflict, QuotaUnavailable
from apiserver.apis.bounded import Bounded, footprint
from apiserver.client.client import Client
from apiserver.client.errors import ApiException

SECONDS = 5.0
RECENT = 4 * 1024 * 1024
"""The largest number of bytes of quotas that are newer than the informer's. An evicted one costs a
conflict."""


class ManagementQuotas:
    """The Quotas of admission. `copy(namespace)` returns the informer's objects, None if it may be
    stale."""

    def __init__(self, client: Client, copy: Callable[[str], list[dict[str, Any]] | None]) -> None:
        self._client, self._copy = client, copy
        self._recent: Bounded[tuple[str, str], dict[str, Any]] = Bounded(RECENT)

    async def get(self, namespace: str, *, live: bool = False) -> list[dict[str, Any]]:
        """Return the quotas. See Quotas."""
        known = None if live else self._copy(namespace)
        if known is not None:
            return [self._newest(namespace, found) for found in known]
        try:
            listed = await self._client.request("GET", _path(namespace), timeout=SECONDS)
        except ApiException as error:
            raise QuotaUnavailable(f"cannot be read: {error}") from None
        found: list[dict[str, Any]] = listed.get("items") or []
        for quota in found:
            self._remember(namespace, quota)
        return found

    async def put_status(self, quota: dict[str, Any]) -> None:
        """Write the status. See Quotas."""
        meta = quota["metadata"]
        path = f"{_path(meta['namespace'])}/{quote(meta['name'], safe='')}/status"
        try:
            self._remember(meta["namespace"], await self._client.request("PUT", path, body=quota, timeout=SECONDS))
        except ApiException as error:
            if error.status in (404, 409):
                raise QuotaConflict(str(error)) from None
            raise QuotaUnavailable(f"{meta['name']} cannot be written: {error}") from None

    def _newest(self, namespace: str, copied: dict[str, Any]) -> dict[str, Any]:
        key = (namespace, copied["metadata"]["name"])
        recent = self._recent.get(key)
        if recent is None:
            return copied
        if recent["metadata"]["uid"] == copied["metadata"]["uid"] and _version(recent) > _version(copied):
            return recent
        self._recent.pop(key)  # the informer has caught up
        return copied

    def _remember(self, namespace: str, quota: dict[str, Any]) -> None:
        key = (namespace, quota["metadata"]["name"])
        known = self._recent.get(key)
        if known is None or known["metadata"]["uid"] != quota["metadata"]["uid"] or _version(known) < _version(quota):
            self._recent.put(key, quota, footprint(quota))


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/resourcequotas"


def _version(quota: dict[str, Any]) -> int:
    """Return the resourceVersion, a growing number in kube-apiserver, whose quota admission relies
    on it too."""
    return int(quota["metadata"]["resourceVersion"])
