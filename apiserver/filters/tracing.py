"""Create a span for every request, if tracing is configured.

The span begins after authentication, and contains flow control, authorization, admission and the
storage."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from apiserver.client import tracing
from apiserver.filters.paths import is_health, is_long_running
from apiserver.handlers.request.call import Call, Filter, Handler
from apiserver.registry.generic.context import UserInfo

SHOWN = 256
"""The largest number of characters of a path or a name."""


def with_tracing(trusts: Callable[[UserInfo], bool]) -> Filter:
    """Trace everything behind this filter. `trusts` decides whose spans become parents."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            tracer = tracing.active.tracer
            if tracer is None or is_health(call.info.path) or is_long_running(call.info):
                return await handler(call)
            trusted = call.user is not None and trusts(call.user)
            parent = call.http.headers.get(tracing.PARENT, "")
            with tracer.serving(_name(call), parent, trusted=trusted, attributes=_attributes(call)) as span:
                response = await handler(call)
                span.set("http.response.status_code", response.status)
                if response.status >= 500:
                    span.fail(f"HTTP status {response.status}")
                return response

        return handle

    return wrap


def _name(call: Call) -> str:
    info = call.info
    return f"{info.verb} {info.resource[:SHOWN] if info.is_resource else info.path[:SHOWN]}"


def _attributes(call: Call) -> dict[str, str]:
    info = call.info
    found = {
        "audit-id": call.audit_id,
        "http.request.method": call.http.method,
        "url.path": info.path,
        "k8s.namespace.name": info.namespace,
        "enduser.id": call.user.name if call.user is not None else "",
    }
    return {name: value[:SHOWN] for name, value in found.items() if value}
