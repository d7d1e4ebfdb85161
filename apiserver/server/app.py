"""Run one API server on one port: watch cache, API, health and metrics behind the filters, over
TLS.

Start: storage, background tasks, then the port. Stop: /readyz fails, connections close with their
next answer, watches end cleanly, clients close unused connections, the port closes, running
requests finish, then storage closes. The Config contains everything that differs between `serve`
and `dev`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web
from prometheus_client.registry import Collector

from apiserver.audit.log import AuditLog
from apiserver.filters import chain
from apiserver.filters.audit import Auditor
from apiserver.filters.authentication import Authenticator
from apiserver.filters.authorization import Authorizer
from apiserver.filters.deadline import DEFAULT_SECONDS
from apiserver.filters.flowcontrol import FlowControl
from apiserver.filters.paths import is_health
from apiserver.gateway.gateway import Gateway, Settings
from apiserver.handlers.dispatch import Api
from apiserver.handlers.request.call import Call
from apiserver.registry.generic.registry import Registry
from apiserver.server.background import Background
from apiserver.server.connections import Connections
from apiserver.server.flowmetrics import flow_control_metrics
from apiserver.server.health import CHECK_SECONDS, Check, Health
from apiserver.server.memory import FreedMemory, keep_freed_memory
from apiserver.server.metrics import Metrics, watch_labels
from apiserver.server.registration import Registrations
from apiserver.server.storagemetrics import storage_metrics
from apiserver.server.tls import ServerTls
from apiserver.server.watchdog import Watchdog
from storage.cache import WatchCache

Handle: TypeAlias = "Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]"

log = logging.getLogger(__name__)


class CannotListen(Exception):
    """The server cannot listen on the address. The message gives the reason and says what to do.

    `gateway`: whether it is the gateway's address."""

    gateway = False


@dataclass(frozen=True, kw_only=True)
class GatewayPort:
    """The port of the gateway.

    tls: called after the cache has started."""

    settings: Settings
    tls: Callable[[], Awaitable[ServerTls]]
    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, kw_only=True)
class Config:
    """The components and settings of one API server.

    cache: not started; all `registries` use it. The App starts and closes it.

    tls: called after the cache has started, because self-made certificates keep their authority
    there.

    background: tasks beside the requests, by name; started after the cache, and restarted when they
    crash.

    ready: additional checks of /readyz, by name.

    host, port: the address to listen on; port 0 means any free one.

    request_seconds: the longest time of a request other than a watch.

    flow_control: the order and the number of requests that are processed at once.

    registrations: whether kube-apiserver passes requests on, for /readyz?verbose and /metrics; the
    App runs it.

    check_seconds: the longest time of a check.

    drain_seconds: the time for running requests to end when stopping.

    auditor, audit_log: the audit policy, and the log for its records, which the App starts and
    closes. None for no audit.

    collectors: more metrics of this process.

    delay_seconds: the time for which stopping changes nothing but /readyz, so that load balancers
    notice.

    idle_seconds: the additional time in which requests are served until clients have closed their
    unused connections.

    gateway: a second port that looks like the management cluster's kube-apiserver, or None.
    """

    cache: WatchCache
    registries: Sequence[Registry]
    authenticator: Authenticator
    authorizer: Authorizer
    tls: Callable[[], Awaitable[ServerTls]]
    background: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    ready: Mapping[str, Check] = field(default_factory=dict)
    registrations: Registrations | None = None
    host: str = "127.0.0.1"
    port: int = 0
    flow_control: FlowControl = field(default_factory=FlowControl)
    request_seconds: float = DEFAULT_SECONDS
    check_seconds: float = CHECK_SECONDS
    drain_seconds: float = 4.0
    collectors: Sequence[Collector] = ()
    delay_seconds: float = 0.0
    idle_seconds: float = 0.0
    auditor: Auditor | None = None
    audit_log: AuditLog | None = None
    gateway: GatewayPort | None = None


def build(config: Config) -> App:
    """Return the server, not yet started."""
    return App(config)


class App:
    """An API server (see build). Use it as an async context manager, or call start and stop.

    More checks and gauges may be added to `health` and `metrics`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._background = Background()
        self._ports: list[_Port] = []
        self._stopping = False
        served = [(one.resource.group, one.resource.version, one.resource.plural) for one in config.registries]
        self.metrics, self.watchdog = Metrics(served), Watchdog()
        self.health = Health(config.check_seconds)
        extra = {"/metrics": self.metrics.handle, **dict.fromkeys(("/healthz", "/livez", "/readyz"), self.health.handle)}
        self.api = Api(config.registries, extra=extra)
        config.flow_control.objects = self._objects
        self.gateway = self._gateway(config.gateway.settings) if config.gateway is not None else None
        self._add_checks()
        self._add_gauges()
        storage_metrics(self.metrics, config.cache, config.registries)
        flow_control_metrics(self.metrics, config.flow_control)
        for collector in config.collectors:
            self.metrics.registry.register(collector)

    @property
    def port(self) -> int:
        """Return the port of the started server."""
        assert self._ports, "start comes first"
        return self._ports[0].number

    @property
    def gateway_port(self) -> int:
        """Return the port of the started gateway."""
        assert len(self._ports) > 1, "start comes first, with a gateway"
        return self._ports[1].number

    @property
    def url(self) -> str:
        """Return the URL of the started server."""
        host = self._config.host
        return f"https://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def __aenter__(self) -> App:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the server, and return when it answers requests.

        Raises StorageError, BadServingCertificate, CannotListen, or OSError if the audit log cannot
        be opened. Nothing is left running then."""
        keeps_freed = keep_freed_memory()
        try:
            if self._config.audit_log is not None:
                self._config.audit_log.start()
            await self._config.cache.start()
            tls = await self._config.tls()
            text = "When the serving certificate expires, in seconds since the epoch."
            self.metrics.gauge("metal3_workloads_serving_certificate_expiration_timestamp_seconds", text, lambda: [({}, tls.expires)])
            self._background.start("watchdog", self.watchdog.run)
            if keeps_freed:
                self._background.start("freed memory", FreedMemory().run)
            for name, run in self._config.background.items():
                self._background.start(name, run)
            if self._config.registrations is not None:
                self._background.start("registrations", self._config.registrations.run)
            await self._listen(tls)
        except BaseException:
            await self.stop()
            raise
        log.info("serving on %s", self.url)

    async def stop(self) -> None:
        """Stop gracefully. Calling this again has no effect."""
        self._stopping = True
        if self._ports:
            await self._wind_down()
        for port in self._ports:
            port.close()
        await asyncio.gather(*(port.connections.shutdown(self._config.drain_seconds) for port in self._ports))
        if self._config.gateway is not None:
            await self._config.gateway.settings.upstream.close()
        await self._background.stop()
        await self._config.cache.close()
        if self._config.audit_log is not None:
            await asyncio.to_thread(self._config.audit_log.close)

    async def _wind_down(self) -> None:
        """Continue to serve until no client can send another request.

        After the delay, load balancers send no new connections. Each connection in use closes with
        an answer, and each watch closes its own. Clients close those that they do not use."""
        for port in self._ports:
            port.connections.wind_down()
        await asyncio.sleep(self._config.delay_seconds)
        self.api.stop_watches()
        if self.gateway is not None:
            self.gateway.stop_streams()
        await asyncio.gather(*(port.connections.closed(self._config.idle_seconds) for port in self._ports))

    async def _listen(self, tls: ServerTls) -> None:
        config = self._config
        parts = chain.FilterConfig(
            authenticator=config.authenticator,
            authorizer=config.authorizer,
            recorder=self.metrics,
            flow_control=config.flow_control,
            request_seconds=config.request_seconds,
            auditor=config.auditor,
            meter=self.watchdog,
            reduced=frozenset((one.resource.group, one.resource.plural) for one in config.registries if one.reduced is not None),
        )
        await self._open(chain.build(self._handle, parts), config.flow_control, tls, config.host, config.port)
        if config.gateway is not None and self.gateway is not None:
            gateway = config.gateway
            own = await gateway.tls()
            try:
                await self._open(self.gateway, gateway.settings.flow_control, own, gateway.host, gateway.port)
            except CannotListen as error:
                error.gateway = True
                raise
            log.info("the gateway serves on port %d", self.gateway_port)

    async def _open(self, handler: Handle, flow_control: FlowControl, tls: ServerTls, host: str, port: int) -> None:
        connections = Connections(handler, arrived=flow_control.loop.arrived)
        self._ports.append(await _Port.open(connections, tls, host, port))

    def _gateway(self, settings: Settings) -> Gateway:
        config = self._config
        return Gateway(
            settings,
            authorizer=config.authorizer,
            flow_control=config.flow_control,
            recorder=self.metrics,
            health=self.health.handle,
            auditor=config.auditor,
            meter=self.watchdog,
            request_seconds=config.request_seconds,
        )

    async def _handle(self, call: Call) -> web.StreamResponse:
        """Handle a request that passed the filters."""
        # The same test exempts health from authorization, so nothing else can be reached that way.
        return await (self.health.handle(call) if is_health(call.info.path) else self.api.handle(call))

    def _objects(self, group: str, resource: str) -> int:
        return next(
            (len(one.collection) for one in self._config.registries if (one.resource.group, one.resource.plural) == (group, resource)), 0
        )

    def _add_checks(self) -> None:
        async def storage() -> None:
            await self._config.cache.current_revision()

        async def cache() -> None:
            if self._config.cache.failure is not None:
                raise RuntimeError(self._config.cache.failure)

        async def shutdown() -> None:
            if self._stopping:
                raise RuntimeError("the server is stopping")

        self.health.live("watch-cache", cache)
        self.health.ready("storage", storage)
        self.health.ready("shutdown", shutdown)
        for name, check in self._config.ready.items():
            self.health.ready(name, check)
        if self._config.registrations is not None:
            self.health.advise("registrations", self._config.registrations.report)

    def _add_gauges(self) -> None:
        def inflight() -> Iterator[tuple[dict[str, str], float]]:
            for kind, count in self._config.flow_control.current.items():
                yield {"request_kind": kind}, count

        def watches() -> Iterator[tuple[dict[str, str], float]]:
            running = self.api.watches.by_request
            if self.gateway is not None:
                running = running + self.gateway.api.watches.by_request
            for request, count in running.items():
                yield watch_labels(*request), count

        self.metrics.gauge("apiserver_current_inflight_requests", "Requests being worked on, watches not counted.", inflight)
        self.metrics.gauge("apiserver_longrunning_requests", "Watches being served.", watches)
        text = "How long steps of requests held the event loop, while no other request was served."
        self.metrics.histogram("apiserver_event_loop_step_seconds", text, self.watchdog.steps)
        text = "How late heartbeats of the event loop were, whatever held it."
        self.metrics.histogram("apiserver_event_loop_delay_seconds", text, self.watchdog.late)
        if self._config.registrations is not None:
            text = "Whether kube-apiserver passes requests for an APIService's group on to this server (1) or not (0)."
            self.metrics.gauge("metal3_workloads_apiservice_registered", text, self._config.registrations.values)
        if self.gateway is not None:
            text = "Requests to the gateway by what answered: the view, a merged document, or kube-apiserver."
            self.metrics.counter("metal3_workloads_gateway_requests_total", text, self.gateway.counts.values)
        if self._config.audit_log is not None:
            self._count_events(self._config.audit_log)

    def _count_events(self, log: AuditLog) -> None:
        self.metrics.counter("apiserver_audit_event_total", "Audit events written.", lambda: [({}, log.events)])
        text = "Audit events that were dropped or could not be written."
        self.metrics.counter("apiserver_audit_error_total", text, lambda: [({"plugin": "log"}, log.errors)])


class _Port:
    """An open port."""

    def __init__(self, connections: Connections, server: asyncio.Server) -> None:
        self.connections, self._server = connections, server
        self.number: int = server.sockets[0].getsockname()[1]

    @classmethod
    async def open(cls, connections: Connections, tls: ServerTls, host: str, port: int) -> _Port:
        """Listen. Raises CannotListen."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                connections, host, port, ssl=tls.context, backlog=512, ssl_handshake_timeout=10, ssl_shutdown_timeout=2
            )
        except OSError as error:
            raise CannotListen(_why(error, host, port)) from None
        return cls(connections, server)

    def close(self) -> None:
        """Accept no further connections, and no further requests on those that are open."""
        self._server.close()
        self.connections.pre_shutdown()


def _why(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} of {host} is taken by another process: stop that one, or choose another port (0: any free one)"
        case errno.EACCES:
            return f"port {port} of {host} may not be used by this user: choose one above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine: choose another address to bind to"
        case _:
            return f"cannot listen on {host}:{port}: {error.strerror or error}"
