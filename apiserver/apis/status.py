"""Define ApiError, which carries a meta/v1 Status, with one constructor per reason.

The texts are worded as in kube-apiserver. Reasons and codes: k8s.io/apimachinery/pkg/api/errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CAUSES = 50
"""The largest number of causes in an error. The message says how many more there are."""
QUOTED = 1024
"""The largest number of characters of a cause's message, which may quote the client's body."""


class ApiError(Exception):
    """The failure of a request as the client sees it.

    `retry_after` is in seconds, and is sent as Retry-After as well."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: dict[str, Any] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.retry_after = code, reason, message, retry_after
        self.details = dict(details or {})
        if retry_after is not None:
            self.details["retryAfterSeconds"] = retry_after

    def status(self) -> dict[str, Any]:
        """Return the Status object to serve."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body


def cause(reason: str, message: str, field: str = "") -> dict[str, str]:
    """Return one entry of details.causes.

    Reasons are FieldValueRequired, FieldValueInvalid, FieldValueForbidden, FieldValueNotSupported,
    …"""
    found = {"reason": reason, "message": message if len(message) <= QUOTED else f"{message[:QUOTED]}…"}
    field = field[:QUOTED]
    return {**found, "field": field} if field else found


def _details(group: str, kind: str, name: str, causes: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    if causes:
        details["causes"] = list(causes)
    return details


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> ApiError:
    """Return a 400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """Return a 401: the user is not authenticated."""
    return ApiError(401, "Unauthorized", message)


def forbidden(group: str, plural: str, name: str, why: str, causes: Sequence[dict[str, str]] = ()) -> ApiError:
    """Return a 403: the user is authenticated, but not authorized."""
    subject = f'{_qualified(plural, group)} "{name}"' if name else _qualified(plural, group)
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=_details(group, plural, name, causes))


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Return a 404: the object does not exist."""
    return ApiError(404, "NotFound", f'{_qualified(plural, group)} "{name}" not found', details=_details(group, plural, name))


def path_not_found(group: str = "", plural: str = "", name: str = "") -> ApiError:
    """Return a 404: the path or resource type does not exist.

    With `plural`, the subresource of a known resource does not exist."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details=_details(group, plural, name))


def owners_alone(plural: str) -> ApiError:
    """Return a 404: the resource exists in Metal3, and is not served to tenants."""
    message = f"{plural} are the hardware owner's and not served here: ask the owner for what you need of them"
    return ApiError(404, "NotFound", message)


def method_not_allowed(
    group: str = "", plural: str = "", message: str = "the server does not allow this method on the requested resource"
) -> ApiError:
    """Return a 405: the resource exists, but does not support the verb."""
    return ApiError(405, "MethodNotAllowed", message, details=_details(group, plural, ""))


def not_acceptable(supported: Sequence[str]) -> ApiError:
    """Return a 406: no media type of the client is supported."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(supported)}")


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """Return a 409: the name exists already."""
    return ApiError(409, "AlreadyExists", f'{_qualified(plural, group)} "{name}" already exists', details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """Return a 409: another write came first, or the requested object is taken."""
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(group, plural, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def expired(message: str) -> ApiError:
    """Return a 410: the resourceVersion or continue token is too old."""
    return ApiError(410, "Expired", message)


def too_large(limit: int) -> ApiError:
    """Return a 413: the body has more than `limit` bytes."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def too_many_values(limit: int) -> ApiError:
    """Return a 413: the body, or the object to store, has more than `limit` values."""
    why = f"the object has more than {limit} values, members of objects and items of lists together: make it smaller, or make several"
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {why}")


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    """Return a 415: the body's media type is not supported."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(group: str, kind: str, name: str, causes: Sequence[dict[str, str]]) -> ApiError:
    """Return a 422: the object violates a rule.

    `causes` (never empty) say which field, and why."""
    shown = causes[:CAUSES]
    parts = [f"{c.get('field', '')}: {c['message']}" if c.get("field") else c["message"] for c in shown]
    if len(causes) > CAUSES:
        parts.append(f"and {len(causes) - CAUSES} more")
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    subject = f"{kind}.{group}" if group else kind
    return ApiError(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details=_details(group, kind, name, shown))


def too_many_requests(message: str, retry_after: int = 1) -> ApiError:
    """Return a 429: the client should try again in `retry_after` seconds."""
    return ApiError(429, "TooManyRequests", message, retry_after=retry_after)


def internal(message: str = "an internal error occurred; the server's log has the details") -> ApiError:
    """Return a 500: a defect. The message never contains a traceback."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def service_unavailable(message: str, retry_after: int = 1) -> ApiError:
    """Return a 503: something that this server needs does not answer now."""
    return ApiError(503, "ServiceUnavailable", message, retry_after=retry_after)


def timeout(message: str, retry_after: int = 1) -> ApiError:
    """Return a 504: the request was not done within the deadline, but may still be."""
    return ApiError(504, "Timeout", message, retry_after=retry_after)
