"""Report every request to a Recorder: the request, the status code and the duration."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from aiohttp import web

from apiserver.filters.paths import is_long_running
from apiserver.handlers.request.call import Call, Filter, Handler, RequestInfo
from apiserver.registry.generic.latency import track_latency

DRY_RUN = "All"
CLIENT_CLOSED = 499
"""The code counted for requests whose client disconnected. It is never sent."""


class Recorder(Protocol):
    """Keeps the metrics."""

    def record(self, info: RequestInfo, code: int, seconds: float | None, *, dry_run: bool = False, waited: float = 0.0) -> None:
        """Record a finished request. `seconds` is None for a watch, whose duration has no meaning.

        `waited` is the part of `seconds` in which the request waited for seats and for webhooks."""


def with_metrics(recorder: Recorder) -> Filter:
    """Measure everything behind this filter."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            start, code = time.perf_counter(), 500
            with track_latency() as tracker:
                try:
                    response = await handler(call)
                    code = response.status
                    return response
                except (asyncio.CancelledError, ConnectionError):
                    code = CLIENT_CLOSED
                    raise
                finally:
                    seconds = None if is_long_running(call.info) else time.perf_counter() - start
                    recorder.record(call.info, code, seconds, dry_run=call.query.get("dryRun") == DRY_RUN, waited=tracker.seconds)

        return handle

    return wrap
