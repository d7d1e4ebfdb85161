"""Parse the request line into call.info, which all later filters use."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from apiserver.handlers.request.call import Call, Filter, Handler


def with_request_info(parse: Callable[[Call], None]) -> Filter:
    """Have `parse` set call.info. Raises ApiError (400) for a path that could be read in two
    ways."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            parse(call)
            return await handler(call)

        return handle

    return wrap
