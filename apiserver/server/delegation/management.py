"""The seam to the management cluster: JSON requests, and how they fail. The composition root brings an HTTP client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Management", "ManagementError", "ask"]

ATTEMPTS = 3
FIRST_PAUSE = 0.2


class ManagementError(Exception):
    """A request that failed. `status`: the HTTP code, 0 when there was no answer. The message is for the operator, not for tenants."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def summary(self) -> str:
        """For the log. What a server says of a request it refuses may quote the request, and so a token: only its code is told."""
        hint = ": bind the ClusterRole system:auth-delegator to this server's account" if self.status == 403 else ""
        return f"HTTP status {self.status}{hint}" if self.status else str(self)

    @property
    def transient(self) -> bool:
        """Worth trying again unchanged."""
        return self.status in (0, 408, 429) or self.status >= 500


class Management(Protocol):
    """JSON over HTTP to the management cluster's kube-apiserver, as this server's own identity."""

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
        """The decoded answer. `timeout`: seconds for all of it. Raises ManagementError."""


async def ask(management: Management, path: str, review: dict[str, Any], timeout: float) -> dict[str, Any]:
    """POSTs a review (it changes nothing, so it may be repeated), up to three times within `timeout` seconds. Returns its status.
    Raises ManagementError."""
    pause = FIRST_PAUSE
    try:
        async with asyncio.timeout(timeout):
            for attempt in range(ATTEMPTS):
                try:
                    answer = await management.request("POST", path, body=review, timeout=timeout)
                    status = answer.get("status")
                    return status if isinstance(status, dict) else {}
                except ManagementError as error:
                    if not error.transient or attempt == ATTEMPTS - 1:
                        raise
                await asyncio.sleep(pause)
                pause *= 2
    except TimeoutError:
        raise ManagementError(0, f"no answer within {timeout:g} s") from None
    raise AssertionError("unreachable")
