"""Return the management cluster's namespaces from a current informer, or else by a GET."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from apiserver.apis.status import service_unavailable
from apiserver.client.client import Client
from apiserver.client.errors import ApiException

log = logging.getLogger(__name__)

SECONDS = 5.0


class ManagementNamespaces:
    """The Namespaces of admission. `copy(name)` returns the informer's object, or None."""

    def __init__(self, client: Client, copy: Callable[[str], dict[str, Any] | None]) -> None:
        self._client, self._copy = client, copy

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        """Return the namespace, or None. See Namespaces."""
        known = None if live else self._copy(name)
        if known is not None:
            return known
        try:
            return await self._client.request("GET", f"/api/v1/namespaces/{quote(name, safe='')}", timeout=SECONDS)
        except ApiException as error:
            if error.status == 404:
                return None
            log.warning("namespace %s cannot be read: %s", name, error)
            raise service_unavailable("whether the namespace exists cannot be found out now; try again") from None
