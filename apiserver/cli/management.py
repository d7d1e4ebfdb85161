"""The management cluster as the server's delegation sees it, over the HTTP client of the controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.client.errors import ApiException, BadConfig
from apiserver.server.delegation.management import ManagementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apiserver.client.client import Client

__all__ = ["ClientManagement"]


class ClientManagement:
    """Implements Management."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """See Management."""
        try:
            return await self._client.request(method, path, query=query, body=body, content_type=content_type, timeout=timeout)
        except ApiException as error:
            raise ManagementError(error.status, str(error)) from error
        except BadConfig as error:
            raise ManagementError(0, f"the kubeconfig cannot be used any more: {error}") from error
