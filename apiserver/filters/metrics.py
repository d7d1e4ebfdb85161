"""Reports every request to a Recorder: what was asked, how it was answered, how long that took."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from apiserver.filters.paths import is_long_running

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.handlers.request.call import Call, Filter, Handler, RequestInfo

__all__ = ["Recorder", "with_metrics"]

CLIENT_CLOSED = 499
"""Counted for requests whose client went away; nothing is sent."""


class Recorder(Protocol):
    """Keeps the numbers."""

    def record(self, info: RequestInfo, code: int, seconds: float | None) -> None:
        """One request is done. `seconds` is None for a watch, whose length says nothing."""


def with_metrics(recorder: Recorder) -> Filter:
    """Measures all that comes behind it."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            start, code = time.perf_counter(), 500
            try:
                response = await handler(call)
                code = response.status
                return response
            except (asyncio.CancelledError, ConnectionError):
                code = CLIENT_CLOSED
                raise
            finally:
                recorder.record(call.info, code, None if is_long_running(call.info) else time.perf_counter() - start)

        return handle

    return wrap
