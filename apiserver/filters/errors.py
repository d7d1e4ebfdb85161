"""Convert every failure into a Status.

An unexpected error becomes a 500 without its cause, which is logged with the audit ID. A refusal by
the storage, for example because it is full, is expected and logged in one line."""

from __future__ import annotations

import logging

from aiohttp import web

from apiserver.apis.status import ApiError, internal
from apiserver.handlers.request.call import Call, Handler
from apiserver.handlers.response.errors import from_storage, render
from storage.base import StorageError

log = logging.getLogger(__name__)


def with_errors(handler: Handler) -> Handler:
    """Catch all errors of the handler.

    Raises only CancelledError, and ConnectionError if the answer cannot be completed, so that the
    connection is closed."""

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
        _log(error, call)
    if call.http.writer.output_size > 0:
        # A client must not mistake a partial answer for a complete one. HTTP shows the difference
        # by the missing end.
        raise ConnectionAbortedError("the answer had begun when the request failed") from error
    return render(seen, call)


def _log(error: Exception, call: Call) -> None:
    """Log an error with its traceback, or in one line if it is the storage's own error."""
    request = call.audit_id, call.http.method, call.info.path
    if isinstance(error, StorageError):
        log.error("audit ID %s: %s %s failed: %s", *request, error)
    else:
        log.exception("audit ID %s: %s %s failed", *request)


def _forget(error: BaseException) -> None:
    """Remove the tracebacks of an error and of its causes.

    A frame that refers to its own error is a cycle, which keeps the request's body until the
    garbage collector runs."""
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
