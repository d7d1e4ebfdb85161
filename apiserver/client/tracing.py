"""Trace requests and claims, if tracing is configured: an interface without an implementation.

`apiserver.cli.otel` implements it with OpenTelemetry. While `tracer` is None, OpenTelemetry is not
imported, and its callers only check `tracer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

PARENT = "traceparent"
"""The header with the trace and the span of a caller (W3C Trace Context)."""


class Span(Protocol):
    """A span that is running."""

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""

    def fail(self, reason: str) -> None:
        """Mark the span as failed."""


class Tracer(Protocol):
    """Creates spans. A span is a child of the running span of the same task."""

    def span(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Run a block as a span."""

    def of_object(self, name: str, uid: str, attributes: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Run a block as a span in the trace of the object with this uid."""

    def serving(self, name: str, parent: str, *, trusted: bool, attributes: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Run the handling of a request as a span.

        `parent` is the header of the caller. An untrusted caller's span is only linked, so that the
        caller does not control sampling."""

    def finished(self, name: str, seconds: float, *, failed: bool, attributes: Mapping[str, str]) -> None:
        """Add a span that has just ended."""

    def lived(self, name: str, uid: str, begin: float, attributes: Mapping[str, str]) -> None:
        """Add the first span of an object's trace: from `begin`, in seconds since the epoch, until
        now."""

    def headers(self) -> dict[str, str]:
        """Return the headers for a request of the running span."""


class Active:
    """The tracer of this process, or None."""

    tracer: Tracer | None = None


active = Active()
