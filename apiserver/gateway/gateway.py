"""Compose the gateway: choose the part that answers each request, behind the filters for it.

Requests for the view pass the filters of this server's own port. For all other requests,
kube-apiserver authorizes and impersonates by the caller's credentials. The gateway authenticates
them, so that flow control and the audit log know their users.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from apiserver.apis.status import ApiError
from apiserver.authentication.token import TokenAuthenticator
from apiserver.filters import chain
from apiserver.filters.audit import Auditor
from apiserver.filters.authorization import Authorizer
from apiserver.filters.flowcontrol import FlowControl
from apiserver.filters.metrics import Recorder
from apiserver.filters.paths import is_health
from apiserver.filters.steps import Meter
from apiserver.gateway.access import BearerOnly, ByViewGroup
from apiserver.gateway.counts import Counts
from apiserver.gateway.documents import Documents
from apiserver.gateway.proxy import Proxy, check_headers
from apiserver.gateway.target import Part, Target, target_of
from apiserver.gateway.upstream import Upstream
from apiserver.handlers.dispatch import Api
from apiserver.handlers.request.call import Call, Handler, RequestInfo
from apiserver.registry.generic.registry import Registry

PASSED_SECONDS = 75.0
"""The longest time of a request that is passed on, other than a stream.

kube-apiserver ends such requests after 60."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The components of the gateway that do not depend on the port.

    views: registries of the view's kinds, in the group in which the gateway serves them.

    view_group: the group in which kube-apiserver passes them on, whose rules authorize.

    tokens: verifies bearer tokens.

    vouching: returns the names and prefixes of headers of front proxies.

    flow_control: of the requests that are passed on. Their seats are not those of this server's own
    requests, because kube-apiserver may pass them on to this server."""

    views: Sequence[Registry]
    view_group: str
    upstream: Upstream
    tokens: TokenAuthenticator
    vouching: Callable[[], Iterable[str]] = tuple
    flow_control: FlowControl = field(default_factory=FlowControl)


class Gateway:
    """The handler of the gateway's port."""

    def __init__(
        self,
        settings: Settings,
        *,
        authorizer: Authorizer,
        flow_control: FlowControl,
        recorder: Recorder,
        health: Handler,
        auditor: Auditor | None = None,
        meter: Meter | None = None,
        request_seconds: float,
    ) -> None:
        resources = [one.resource for one in settings.views]
        self._group, self._kinds = resources[0].group, frozenset(one.plural for one in resources)
        self.api, self.counts, self._health = Api(settings.views), Counts(), health
        self._view_group = settings.view_group
        self._documents = Documents(settings.upstream, resources, settings.view_group, settings.vouching)
        self._proxy = Proxy(settings.upstream, settings.vouching)
        common: dict[str, Any] = {"authenticator": BearerOnly(settings.tokens), "auditor": auditor, "meter": meter, "parse": self._parse}
        view = chain.FilterConfig(
            authorizer=ByViewGroup(authorizer, self._group, settings.view_group, self._kinds),
            recorder=self.counts.recorder(Part.VIEW, recorder),
            flow_control=flow_control,
            request_seconds=request_seconds,
            **common,
        )
        self._chains = {Part.VIEW: chain.build(self._view, view)}
        for part, handler in ((Part.DOCUMENT, self._document), (Part.PASSED, self._pass)):
            parts = chain.FilterConfig(
                authorizer=None,
                recorder=self.counts.recorder(part),
                flow_control=settings.flow_control,
                request_seconds=PASSED_SECONDS,
                **common,
            )
            self._chains[part] = chain.build(handler, parts)

    def __call__(self, http: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        """Answer a request."""
        return self._chains[self._part(http)](http)

    def stop_streams(self) -> None:
        """End all watches, of the view and of kube-apiserver, cleanly. New ones end at once."""
        self.api.stop_watches()
        self._proxy.stop()

    def _part(self, http: web.BaseRequest) -> Part:
        """Return the part that answers. A target that every part refuses is refused by PASSED."""
        try:
            return self._target(http).part
        except Exception:
            return Part.PASSED

    def _target(self, http: web.BaseRequest) -> Target:
        return target_of(http.method, http.raw_path, http.query, self._group, self._kinds, self._view_group)

    def _parse(self, call: Call) -> None:
        call.info = RequestInfo(verb=call.http.method.lower(), path=call.http.path)  # used if the target is refused
        try:
            target = self._target(call.http)
            call.info = target.info
            check_headers(call.http, target)
        except ApiError:
            # Nothing more is read from a connection with such a request.
            call.http.protocol.close()
            raise

    async def _view(self, call: Call) -> web.StreamResponse:
        # The same test exempts health from authorization, so nothing else can be reached that way.
        return await (self._health(call) if is_health(call.info.path) else self.api.handle(call))

    async def _document(self, call: Call) -> web.StreamResponse:
        return await self._documents.handle(call, self._target(call.http).document)

    async def _pass(self, call: Call) -> web.StreamResponse:
        return await self._proxy.handle(call)
