"""Limit the time of a request, from reading its body to the last byte of the answer.

Watches have no deadline; timeoutSeconds ends them."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from apiserver.apis.status import bad_request, timeout
from apiserver.filters.paths import is_long_running
from apiserver.handlers.request.call import Call, Filter, Handler

DEFAULT_SECONDS = 34.0
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def with_deadline(maximum: float = DEFAULT_SECONDS) -> Filter:
    """Set call.deadline, and answer 504 if the request is not done by then.

    `maximum` is in seconds; ?timeout= may shorten it."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            if is_long_running(call.info):
                return await handler(call)
            call.deadline = asyncio.get_running_loop().time() + allotted(call.query.get("timeout", ""), maximum)
            try:
                async with asyncio.timeout_at(call.deadline) as scope:
                    return await handler(call)
            except TimeoutError:
                if not scope.expired():
                    raise
                raise timeout("request did not complete within the allotted timeout") from None

        return handle

    return wrap


def allotted(text: str, maximum: float) -> float:
    """Return the seconds that a request with ?timeout=`text` gets. Raises ApiError (400)."""
    if not text:
        return maximum
    seconds = duration(text)
    if seconds is None:
        raise bad_request(f'invalid timeout specified in the request URL: time: invalid duration "{text}"')
    return seconds if 0 < seconds < maximum else maximum


def duration(text: str) -> float | None:
    """Return the seconds of a duration in Go's notation (1m30s, 500ms, 0), or None if it is
    invalid."""
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0.0
    total, position = 0.0, 0
    while part := PART.match(body, position):
        total += float(part[1]) * UNITS[part[2]]
        position = part.end()
    if not body or position != len(body) or len(body) > 64:
        return None
    return -total if text[0] == "-" else total
