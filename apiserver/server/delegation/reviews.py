"""Send reviews about a user to the management cluster, and describe their failures."""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.client.client import Client
from apiserver.client.clock import Backoff
from apiserver.client.errors import ApiException, Unreachable

ATTEMPTS = 3
FIRST_PAUSE = 0.2
"""The seconds between the first attempt at a review and the second one."""


async def ask(client: Client, path: str, review: dict[str, Any], timeout: float, *, first_pause: float = FIRST_PAUSE) -> dict[str, Any]:
    """POST a review up to three times within `timeout` seconds, and return its status.

    A review changes nothing, so it may be repeated. Raises ApiException."""
    backoff = Backoff(first=first_pause)
    try:
        async with asyncio.timeout(timeout):
            for attempt in range(ATTEMPTS):
                try:
                    answer = await client.request("POST", path, body=review, timeout=timeout)
                    status = answer.get("status")
                    return status if isinstance(status, dict) else {}
                except ApiException as error:
                    if not error.transient or attempt == ATTEMPTS - 1:
                        raise
                await asyncio.sleep(backoff.next())
    except TimeoutError:
        raise Unreachable(f"no answer within {timeout:g} s") from None
    raise AssertionError("unreachable")


def summary(error: ApiException) -> str:
    """Return a description of a failed review for the log.

    A server's own text may quote the request, and so a token. Therefore only its code is logged."""
    hint = ": bind the ClusterRole system:auth-delegator to this server's account" if error.status == 403 else ""
    return f"HTTP status {error.status}{hint}" if error.status else str(error)
