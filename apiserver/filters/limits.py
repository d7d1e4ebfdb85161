"""How many requests are worked on at once, reading and mutating ones apart; more are sent away with 429.

Not counted: watches (they idle), health checks, and system:masters, who must get through to an overloaded server.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from apiserver.apis.status import too_many_requests
from apiserver.filters.authz import MASTERS
from apiserver.filters.paths import is_health, is_long_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from apiserver.endpoints.call import Call, Filter, Handler

__all__ = ["InFlight", "with_limits"]

READING = frozenset({"get", "list", "head", "options"})


class InFlight:
    """The counts and their limits (0: none)."""

    def __init__(self, reading: int = 400, mutating: int = 200) -> None:
        self.limits = {"readOnly": reading, "mutating": mutating}
        self.current = {"readOnly": 0, "mutating": 0}

    @contextmanager
    def enter(self, kind: str) -> Iterator[None]:
        """Counts one request for the time of the block. Raises ApiError (429)."""
        if 0 < self.limits[kind] <= self.current[kind]:
            raise too_many_requests("Too many requests, please try again later.", retry_after=1)
        self.current[kind] += 1
        try:
            yield
        finally:
            self.current[kind] -= 1


def with_limits(inflight: InFlight) -> Filter:
    """Keeps requests within the limits."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            if _exempt(call):
                return await handler(call)
            with inflight.enter("readOnly" if call.info.verb in READING else "mutating"):
                return await handler(call)

        return handle

    return wrap


def _exempt(call: Call) -> bool:
    return is_long_running(call.info) or is_health(call.info.path) or (call.user is not None and MASTERS in call.user.groups)
