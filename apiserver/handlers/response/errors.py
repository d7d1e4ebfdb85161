"""Convert errors into responses: every failure is a Status, as JSON or YAML."""

from __future__ import annotations

from aiohttp import web

from apiserver.apis.status import MODIFIED, ApiError, conflict, expired, internal, service_unavailable
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import Form, negotiate
from apiserver.handlers.response.respond import respond
from storage.base import Compacted, Conflict, Full, FutureRevision, StorageError, TooLarge, Unavailable

FULL_SECONDS = 5
"""The seconds after which compaction may have made room in a full storage."""


def from_storage(error: StorageError) -> ApiError:
    """Return the error to show the client, for a storage error that the registry did not
    translate."""
    match error:
        case Conflict():
            return conflict("", "", error.key.rpartition("/")[2], MODIFIED)
        case Compacted():
            return expired(f"too old resource version: {error.revision} ({error.oldest})")
        case FutureRevision():
            return too_large_revision(error.revision, error.current)
        case TooLarge():
            return ApiError(413, "RequestEntityTooLarge", "Request entity too large: the storage cannot take an object of this size")
        case Full():
            why = "the storage is full, and nothing was stored: delete what is not needed, or ask its operator for more room"
            return service_unavailable(why, FULL_SECONDS)
        case Unavailable():
            return service_unavailable("the storage does not answer now; a write may or may not have happened, so read before trying again")
        case _:
            return internal("the storage cannot be trusted; the server's log tells its operator what to do")


def too_large_revision(wanted: int, current: int) -> ApiError:
    """Return a 504 for a resourceVersion that does not exist here, for example after a restore.

    Clients then list again."""
    message = f"Too large resource version: {wanted}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", f"Timeout: {message}", details={"causes": causes}, retry_after=1)


def render(error: ApiError, call: Call) -> web.Response:
    """Return the response for an error."""
    try:
        form = negotiate(call)
    except ApiError:
        form = Form()
    response = respond(call, Form(form.media, form.pretty), error.status(), status=error.code)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
