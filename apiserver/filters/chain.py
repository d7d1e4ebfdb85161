"""Build the chain of filters that every request passes, from the outermost filter to the
handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from apiserver.filters.audit import Auditor, with_audit, with_refusals_audited
from apiserver.filters.auditid import with_audit_id
from apiserver.filters.authentication import Authenticator, with_authentication
from apiserver.filters.authorization import Authorizer, with_authorization
from apiserver.filters.deadline import DEFAULT_SECONDS, with_deadline
from apiserver.filters.errors import with_errors
from apiserver.filters.expect import with_expect
from apiserver.filters.flowcontrol import FlowControl, with_flow_control
from apiserver.filters.impersonation import with_impersonation
from apiserver.filters.metrics import Recorder, with_metrics
from apiserver.filters.requestinfo import with_request_info
from apiserver.filters.steps import Meter, with_steps
from apiserver.filters.tracing import with_tracing
from apiserver.handlers.request.call import Call, Filter, Handler


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """The components that the filters use.

    request_seconds: the longest time of a request other than a watch.

    reduced: each (group, resource) that only some users may read in full.

    auditor: None for no audit.

    meter: receives the duration of each step, or None.

    authorizer: None if another server authorizes requests, and decides about impersonation.

    parse: sets call.info. Raises ApiError (400) for a path that could be read in two ways."""

    authenticator: Authenticator
    authorizer: Authorizer | None
    recorder: Recorder
    flow_control: FlowControl = field(default_factory=FlowControl)
    request_seconds: float = DEFAULT_SECONDS
    reduced: frozenset[tuple[str, str]] = frozenset()
    auditor: Auditor | None = None
    meter: Meter | None = None
    parse: Callable[[Call], None] = Call.parse


def build(handler: Handler, parts: FilterConfig) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Return the handler behind all filters, in the form that aiohttp calls."""
    authorizer = parts.authorizer
    filters: tuple[Filter, ...] = (
        with_steps(parts.meter),
        with_metrics(parts.recorder),
        with_audit_id,
        with_errors,
        with_request_info(parts.parse),
        with_deadline(parts.request_seconds),
        with_refusals_audited(parts.auditor),
        with_authentication(parts.authenticator),
        with_audit(parts.auditor),
        *((with_impersonation(authorizer),) if authorizer is not None else ()),
        with_tracing(parts.flow_control.trusts),
        with_flow_control(parts.flow_control),
        *((with_authorization(authorizer, parts.reduced),) if authorizer is not None else ()),
        with_expect,
    )
    for wrap in reversed(filters):
        handler = wrap(handler)

    async def serve(http: web.BaseRequest) -> web.StreamResponse:
        return await handler(Call(http))

    return serve
