"""Answer Expect: 100-continue (RFC 9110, 10.1.1), by which clients wait before they send large
bodies.

Only authorized clients get the 100, so others send no large bodies."""

from __future__ import annotations

from aiohttp import web

from apiserver.apis.status import ApiError
from apiserver.handlers.request.call import Call, Handler


def with_expect(handler: Handler) -> Handler:
    """Send 100 Continue. Place this filter last, before the handler that reads the body."""

    async def handle(call: Call) -> web.StreamResponse:
        expected = call.http.headers.get("Expect")
        if expected is not None and call.http.version >= (1, 1):
            if expected.lower() != "100-continue":
                raise ApiError(417, "ExpectationFailed", "the only expectation that can be met is 100-continue")
            writer = call.http.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # This is not part of the answer. The number says whether the answer has begun.
            writer.output_size = 0
        return await handler(call)

    return handle
