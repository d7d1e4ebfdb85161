"""Define the errors of API calls.

    ApiException                 the server answered with a failure: status (HTTP code), reason,
                                 message, retry_after
    +-- Unreachable              no answer at all: refused, reset, TLS failure, timeout. status 0
        +-- Unconnected          nothing was sent, because there was no connection
    BadConfig                    the kubeconfig cannot be used; the message says what is wrong

Messages come from the server's Status and may quote the request. Log them for the operator, and
never show them to a tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson


class BadConfig(Exception):
    """The kubeconfig cannot be used."""


class ApiException(Exception):
    """A request failed.

    `status` is the HTTP code (0: no answer), `reason` the CamelCase reason of the Status."""

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after: float | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.details = details or {}

    @property
    def forbidden(self) -> bool:
        """Return whether an authorizer, an admission plugin or a webhook refuses the request (403)."""
        return self.status == 403

    @property
    def invalid(self) -> bool:
        """Return whether the object is invalid, or the test of a JSON patch fails (422)."""
        return self.status == 422

    @property
    def not_found(self) -> bool:
        """Return whether the object (or the whole kind) does not exist (404)."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Return whether another write came between (409, but not AlreadyExists)."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def already_exists(self) -> bool:
        """Return whether the object to create exists already (409)."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def expired(self) -> bool:
        """Return whether the resourceVersion or continue token is too old (410). List again."""
        return self.status == 410

    @property
    def transient(self) -> bool:
        """Return whether the same request may succeed later."""
        return self.status in {0, 408, 429} or self.status >= 500


class Unreachable(ApiException):
    """The server did not answer. The outcome of a write is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class Unconnected(Unreachable):
    """There was no connection to the server. Nothing has happened."""


@contextmanager
def ignore_not_found() -> Iterator[None]:
    """Ignore that the object of a write does not exist, as client.IgnoreNotFound of
    controller-runtime does."""
    try:
        yield
    except ApiException as error:
        if not error.not_found:
            raise


def from_response(status: int, body: bytes, retry_after: str | None) -> ApiException:
    """Return the exception for a failed response.

    The body is a Status, or anything if a proxy answered."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    return from_status(parsed if isinstance(parsed, dict) else {}, status, retry_after)


def from_status(parsed: dict[str, Any], status: int, retry_after: str | None = None) -> ApiException:
    """Return the exception for a Status object of a failed response or of a watch's ERROR event."""
    details = parsed.get("details") or {}
    seconds = details.get("retryAfterSeconds") or retry_after
    try:
        wait = float(seconds) if seconds is not None else None
    except (TypeError, ValueError):
        wait = None
    reason = parsed.get("reason") or {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(status, "Unknown")
    message = parsed.get("message") or f"the server answered with HTTP status {status}"
    return ApiException(int(parsed.get("code") or status), reason, message, retry_after=wait, details=details)


def describe(error: BaseException) -> str:
    """Return one line about an error, for logs and owners' conditions."""
    return str(error) or type(error).__name__
