"""Parse the request line into call.info, which all later filters use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.handlers.request.call import Call, Handler


def with_request_info(handler: Handler) -> Handler:
    """Set call.info. Raises ApiError (400) for a path that could be read in two ways."""

    async def handle(call: Call) -> web.StreamResponse:
        call.parse()
        return await handler(call)

    return handle
