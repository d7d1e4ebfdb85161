"""Turns every failure into a Status. What nobody expected is a 500 that says nothing of its cause; the log has it, by audit ID."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from apiserver.apis.status import ApiError, internal
from apiserver.handlers.response.errors import from_storage, render
from storage.base import StorageError

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.handlers.request.call import Call, Handler

__all__ = ["with_errors"]

log = logging.getLogger(__name__)


def with_errors(handler: Handler) -> Handler:
    """Raises nothing but CancelledError, and ConnectionError when the answer cannot be completed: the connection is closed then."""

    async def handle(call: Call) -> web.StreamResponse:
        try:
            return await handler(call)
        except Exception as error:
            try:
                return _answer(error, call)
            finally:
                _forget(error)

    return handle


def _answer(error: Exception, call: Call) -> web.StreamResponse:
    if _gone(call):
        raise ConnectionResetError("the client is gone") from error
    seen = _seen(error)
    if not isinstance(error, ApiError) and seen.code >= 500:
        log.exception("audit ID %s: %s %s failed", call.audit_id, call.http.method, call.info.path)
    if call.http.writer.output_size > 0:
        # A client must not take a cut answer for a whole one: without its end, HTTP tells them apart.
        raise ConnectionAbortedError("the answer had begun when the request failed") from error
    return render(seen, call)


def _forget(error: BaseException) -> None:
    """Drop the tracebacks of an error and of all that led to it. A frame that holds its own error is a cycle, which keeps the
    request's body until the garbage collector comes to it."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        found.__traceback__ = None
        waiting += [one for one in (found.__cause__, found.__context__) if one is not None]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions


def _seen(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case StorageError():
            return from_storage(error)
        case _:
            return internal()


def _gone(call: Call) -> bool:
    transport = call.http.transport
    return transport is None or transport.is_closing()
