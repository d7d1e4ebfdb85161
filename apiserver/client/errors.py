"""Errors of the API calls that controllers make, and what to make of them.

    ApiException                 the server answered with a failure: status (HTTP code), reason, message, retry_after
    +-- Unreachable              no answer at all: refused, reset, TLS failure, timeout. status 0
        +-- Unconnected          nothing was sent, for there was no connection
    BadConfig                    the kubeconfig cannot be used; the message says what is wrong with it

Messages come from the server's Status and may quote what was sent: log them for the operator, never show them to a tenant.
"""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["ApiException", "BadConfig", "Unconnected", "Unreachable", "describe"]


class BadConfig(Exception):
    """A kubeconfig that cannot be used."""


class ApiException(Exception):
    """A request that failed. `status` is the HTTP code (0: no answer), `reason` the Status' CamelCase reason."""

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
    def not_found(self) -> bool:
        """404: the object (or the whole kind) is not there."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """409 that is not AlreadyExists: somebody else wrote in between."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def already_exists(self) -> bool:
        """409 on creation."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def expired(self) -> bool:
        """410: the resourceVersion or continue token is too old; list anew."""
        return self.status == 410

    @property
    def transient(self) -> bool:
        """Worth trying again unchanged."""
        return self.status in {0, 408, 429} or self.status >= 500


class Unreachable(ApiException):
    """The server did not answer; what became of a write is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class Unconnected(Unreachable):
    """There was no connection to the server: nothing has happened."""


def from_response(status: int, body: bytes, retry_after: str | None) -> ApiException:
    """The exception for a failed response; its body is a Status, or anything when a proxy answered."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    return from_status(parsed if isinstance(parsed, dict) else {}, status, retry_after)


def from_status(parsed: dict[str, Any], status: int, retry_after: str | None = None) -> ApiException:
    """The exception for a Status object, as a failed response or an ERROR event of a watch carries it."""
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
    """One line about an error, for logs and owners' conditions."""
    return str(error) or type(error).__name__
