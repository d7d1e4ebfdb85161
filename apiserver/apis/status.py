"""The error every part raises: an ApiError carries a meta/v1 Status. One constructor per reason, worded as kube-apiserver words it.

Reasons and codes: k8s.io/apimachinery/pkg/api/errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MODIFIED",
    "ApiError",
    "already_exists",
    "bad_request",
    "cause",
    "conflict",
    "expired",
    "forbidden",
    "internal",
    "invalid",
    "method_not_allowed",
    "not_acceptable",
    "not_found",
    "service_unavailable",
    "timeout",
    "too_large",
    "too_many_requests",
    "too_many_values",
    "unauthorized",
    "unsupported_media_type",
]


CAUSES = 50
"""Causes that an error names. The message says how many more there are."""
QUOTED = 1024
"""Characters of a cause's message: it may quote what a client sent."""


class ApiError(Exception):
    """A request's failure as the client is to see it. `retry_after`: seconds, sent as Retry-After as well."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: dict[str, Any] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.retry_after = code, reason, message, retry_after
        self.details = dict(details or {})
        if retry_after is not None:
            self.details["retryAfterSeconds"] = retry_after

    def status(self) -> dict[str, Any]:
        """The Status object to serve."""
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
    """One entry of details.causes. Reasons: FieldValueRequired, FieldValueInvalid, FieldValueForbidden, FieldValueNotSupported, …"""
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
    """400: the request itself cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """401: no identity that is believed."""
    return ApiError(401, "Unauthorized", message)


def forbidden(group: str, plural: str, name: str, why: str, causes: Sequence[dict[str, str]] = ()) -> ApiError:
    """403: known, but not allowed."""
    subject = f'{_qualified(plural, group)} "{name}"' if name else _qualified(plural, group)
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=_details(group, plural, name, causes))


def not_found(group: str, plural: str, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{_qualified(plural, group)} "{name}" not found', details=_details(group, plural, name))


def path_not_found(group: str = "", plural: str = "", name: str = "") -> ApiError:
    """404: no such path or resource type; with `plural`, no such subresource of a known one."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details=_details(group, plural, name))


def method_not_allowed(
    group: str = "", plural: str = "", message: str = "the server does not allow this method on the requested resource"
) -> ApiError:
    """405: the resource exists, the verb does not."""
    return ApiError(405, "MethodNotAllowed", message, details=_details(group, plural, ""))


def not_acceptable(supported: Sequence[str]) -> ApiError:
    """406: none of the client's media types can be made."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(supported)}")


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """409: the name is taken."""
    return ApiError(409, "AlreadyExists", f'{_qualified(plural, group)} "{name}" already exists', details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """409: another write came first, or what is wanted is taken."""
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(group, plural, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def expired(message: str) -> ApiError:
    """410: the resourceVersion or continue token is too old."""
    return ApiError(410, "Expired", message)


def too_large(limit: int) -> ApiError:
    """413: the body is over `limit` bytes."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def too_many_values(limit: int) -> ApiError:
    """413: the body, or what a write would store, has more than `limit` values."""
    why = f"the object has more than {limit} values, members of objects and items of lists together: make it smaller, or make several"
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {why}")


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    """415: the body's media type is not understood."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(group: str, kind: str, name: str, causes: Sequence[dict[str, str]]) -> ApiError:
    """422: the object breaks a rule; `causes` (never empty) say which field and why."""
    shown = causes[:CAUSES]
    parts = [f"{c.get('field', '')}: {c['message']}" if c.get("field") else c["message"] for c in shown]
    if len(causes) > CAUSES:
        parts.append(f"and {len(causes) - CAUSES} more")
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    subject = f"{kind}.{group}" if group else kind
    return ApiError(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details=_details(group, kind, name, shown))


def too_many_requests(message: str, retry_after: int = 1) -> ApiError:
    """429: come again in `retry_after` seconds."""
    return ApiError(429, "TooManyRequests", message, retry_after=retry_after)


def internal(message: str = "an internal error occurred; the server's log has the details") -> ApiError:
    """500: a defect. The message never holds a traceback."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def service_unavailable(message: str, retry_after: int = 1) -> ApiError:
    """503: something this server needs does not answer now."""
    return ApiError(503, "ServiceUnavailable", message, retry_after=retry_after)


def timeout(message: str, retry_after: int = 1) -> ApiError:
    """504: not done within the deadline; it may still happen."""
    return ApiError(504, "Timeout", message, retry_after=retry_after)
