"""Implement `metal3-workloads serve`: the aggregated API server beside a management cluster.

This is the composition root for production."""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from apiserver.apis import metal3, workload
from apiserver.authentication import certificate
from apiserver.cli.audit import add_flags, audit
from apiserver.cli.clientca import ClientCaFile
from apiserver.cli.flowcontrol import add_flow_control_flags, flow_control
from apiserver.cli.gateway import add_gateway_flags, check_gateway, gateway_settings
from apiserver.cli.numbers import between, port
from apiserver.cli.otel import add_tracing_flags, traced
from apiserver.cli.running import STOP_SECONDS, UsageError, run_until_stopped
from apiserver.cli.storageflags import add_storage_flags, watch_cache
from apiserver.client import metrics as clientmetrics
from apiserver.client.client import Client
from apiserver.client.errors import BadConfig
from apiserver.registry.catalog import management_catalog
from apiserver.server.apiservice import CaBundleKeeper
from apiserver.server.app import CannotListen, Config, GatewayPort, build
from apiserver.server.delegation.admission import ManagementAdmission
from apiserver.server.delegation.delegation import Delegation
from apiserver.server.memory import tune_garbage_collector
from apiserver.server.registration import Registrations
from apiserver.server.servingcert import FileCertificate, SelfMade, stored_authority
from apiserver.server.tls import BadServingCertificate, ServerTls
from storage.base import StorageError

log = logging.getLogger(__name__)

DELAY = between(0.0, 3600.0, "a delay in seconds")


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "The aggregated API server. kube-apiserver reaches it through APIServices; identities, permissions and namespaces are "
        "those of the management cluster."
    )
    add_storage_flags(parser)
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig of the management cluster; the pod's own by default")
    parser.add_argument(
        "--bind-address", default="127.0.0.1", metavar="IP", help="address to listen on (default: 127.0.0.1; 0.0.0.0 in a pod)"
    )
    parser.add_argument("--secure-port", type=port, default=6443, metavar="P", help="port to listen on (default: 6443; 0: any free one)")
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="write the port there once it answers")
    parser.add_argument(
        "--tls-cert-file", type=Path, metavar="FILE", help="serving certificate and intermediates, PEM; read again when changed"
    )
    parser.add_argument("--tls-private-key-file", type=Path, metavar="FILE", help="its key, PEM, unencrypted")
    parser.add_argument(
        "--tls-san", nargs="+", action="extend", default=[], metavar="NAME", help="names and addresses in the self-made certificate"
    )
    parser.add_argument("--client-ca-file", type=Path, metavar="FILE", help="accept client certificates of these authorities, too")
    parser.add_argument(
        "--host-view-group",
        choices=(metal3.GROUP, workload.GROUP),
        default=metal3.GROUP,
        help=f"API group of the BareMetalHost view: {workload.GROUP} where the Baremetal Operator's kind is in the same cluster",
    )
    parser.add_argument(
        "--shutdown-delay-duration",
        type=DELAY,
        default=0.0,
        metavar="S",
        help="seconds after SIGTERM until load balancers send no further connections: meanwhile everything is served, but /readyz fails "
        "and each answer closes its connection (default: 0; for several replicas 10)",
    )
    parser.add_argument(
        "--shutdown-idle-timeout",
        type=DELAY,
        default=0.0,
        metavar="S",
        help="seconds after that until clients have closed the connections that they do not use: no request is lost if this is longer "
        "than their own time-out, and the process ends as soon as no connection is left (default: 0; for several replicas 95, because "
        "kube-apiserver has 90)",
    )
    add_gateway_flags(parser)
    add_flags(parser)
    add_flow_control_flags(parser)
    add_tracing_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped. Raises UsageError."""
    served_meanwhile = arguments.shutdown_delay_duration + arguments.shutdown_idle_timeout
    with traced(arguments, "metal3-workloads-apiserver"):
        return run_until_stopped(lambda: _serve(arguments), stop_seconds=STOP_SECONDS + served_meanwhile)


async def _serve(arguments: argparse.Namespace) -> None:
    if (arguments.tls_cert_file is None) != (arguments.tls_private_key_file is None):
        raise UsageError("--tls-cert-file and --tls-private-key-file belong together: give both, or none for a self-made certificate")
    check_gateway(arguments)
    try:
        async with Client(arguments.kubeconfig, user_agent="metal3-workloads-serve") as client:
            server = _Server(arguments, client)
            try:
                await server.run()
            finally:
                await server.close()
    except BadConfig as error:
        raise UsageError(f"--kubeconfig {arguments.kubeconfig or '(none given)'}: {error}") from None
    except StorageError as error:
        raise UsageError(f"--storage {arguments.storage}: {error}") from None
    except BadServingCertificate as error:
        raise UsageError(f"--tls-cert-file {arguments.tls_cert_file}: {error}") from None
    except CannotListen as error:
        raise UsageError(f"{'--gateway-port' if error.gateway else '--secure-port'}: {error}") from None


class _Server:
    """The parts of one process, composed."""

    def __init__(self, arguments: argparse.Namespace, client: Client) -> None:
        self._arguments, self._client = arguments, client
        self._auditor, self._audit_log = audit(arguments)
        self._cache = watch_cache(arguments)
        self.delegation = Delegation(client)
        self._admission = ManagementAdmission(client, self.delegation.namespaces)
        self._catalog = management_catalog(
            self._cache, admission=self._admission.chain, view_group=arguments.host_view_group, namespaces=self.delegation.namespaces
        )
        self._admission.serve(self._catalog.registries)
        self._gateway = gateway_settings(arguments, self._catalog, self.delegation)
        loop = asyncio.get_running_loop()
        # The ports choose their certificates when they open.
        self._follow: asyncio.Future[Callable[[], Awaitable[None]]] = loop.create_future()
        self._follow_gateway: asyncio.Future[Callable[[], Awaitable[None]]] = loop.create_future()
        self._bundle: asyncio.Future[Callable[[], bytes]] = loop.create_future()

    async def close(self) -> None:
        """Cancel the running requests to the management cluster."""
        await self._admission.close()
        await self.delegation.close()

    async def run(self) -> None:
        """Serve until cancelled."""
        app = build(
            Config(
                cache=self._cache,
                registries=self._catalog.registries,
                authenticator=self.delegation.authenticator,
                authorizer=self.delegation.authorizer,
                tls=self._tls,
                background=self._background(),
                ready={**self.delegation.ready, **self._admission.ready},
                auditor=self._auditor,
                audit_log=self._audit_log,
                registrations=Registrations(self._client, self._versions()),
                flow_control=flow_control(self._arguments),
                host=self._arguments.bind_address,
                port=self._arguments.secure_port,
                collectors=(*clientmetrics.COLLECTORS, certificate.EXPIRATION, *self._admission.metrics),
                delay_seconds=self._arguments.shutdown_delay_duration,
                idle_seconds=self._arguments.shutdown_idle_timeout,
                gateway=self._gateway_port(),
            )
        )
        for name, report in self._admission.advice.items():
            app.health.advise(name, report)
        text = "Whether changes of the cluster's admission policies are seen (1), or the last known ones stay enforced (0)."
        app.metrics.gauge("metal3_workloads_admission_policies_followed", text, self._admission.followed)
        text = "Whether the last search for missing UsageRecords could write them (1)."
        app.metrics.gauge("metal3_workloads_usagerecords_written", text, lambda: [({}, float(self._catalog.usage.written))])
        async with app:
            tune_garbage_collector()
            if self._arguments.port_file is not None:
                _write_port("--port-file", self._arguments.port_file, app.port)
            if self._arguments.gateway_port_file is not None:
                _write_port("--gateway-port-file", self._arguments.gateway_port_file, app.gateway_port)
            await asyncio.Event().wait()

    def _background(self) -> dict[str, Callable[[], Awaitable[None]]]:
        tasks = {**self.delegation.background, **self._admission.background, **self._catalog.background}
        tasks["serving certificate"] = self._follow_certificate
        if self._gateway is not None:
            tasks["gateway's certificate"] = self._follow_gateway_certificate
        if self._arguments.tls_cert_file is None:
            tasks["APIServices"] = self._keep_bundle
        if self._arguments.client_ca_file is not None:
            file = ClientCaFile(self._arguments.client_ca_file)
            self.delegation.trust.file(file.read())
            tasks["client CA file"] = lambda: file.follow(self.delegation.trust)
        return tasks

    async def _tls(self) -> ServerTls:
        arguments = self._arguments
        certificate = await self._certificate(
            arguments.tls_cert_file, arguments.tls_private_key_file, names(arguments.tls_san, arguments.bind_address)
        )
        if isinstance(certificate, SelfMade):
            made = certificate
            self._bundle.set_result(lambda: made.bundle)
        tls, follow = _served(certificate)
        self._follow.set_result(follow)
        self.delegation.trust.attach(tls)
        return tls

    async def _gateway_tls(self) -> ServerTls:
        arguments = self._arguments
        sans = names(arguments.gateway_tls_san, arguments.gateway_bind_address)
        certificate = await self._certificate(arguments.gateway_tls_cert_file, arguments.gateway_tls_private_key_file, sans)
        # A client certificate could not be passed on, so none is requested.
        tls, follow = _served(certificate, asks=False)
        self._follow_gateway.set_result(follow)
        return tls

    async def _certificate(self, certificate: Path | None, key: Path | None, sans: list[str]) -> FileCertificate | SelfMade:
        if certificate is not None and key is not None:
            return FileCertificate(certificate, key)
        return SelfMade(await stored_authority(self._cache), sans)

    def _gateway_port(self) -> GatewayPort | None:
        if self._gateway is None:
            return None
        host, port = self._arguments.gateway_bind_address, self._arguments.gateway_port
        return GatewayPort(settings=self._gateway, tls=self._gateway_tls, host=host, port=port)

    async def _follow_certificate(self) -> None:
        await (await self._follow)()

    async def _follow_gateway_certificate(self) -> None:
        await (await self._follow_gateway)()

    async def _keep_bundle(self) -> None:
        await CaBundleKeeper(self._client, self._versions(), await self._bundle).run()

    def _versions(self) -> list[str]:
        """Return the names of this server's APIServices."""
        return sorted({f"{one.resource.version}.{one.resource.group}" for one in self._catalog.registries})


def _served(certificate: FileCertificate | SelfMade, *, asks: bool = True) -> tuple[ServerTls, Callable[[], Awaitable[None]]]:
    """Return the TLS of a port, and the task that renews its certificate."""
    pair = certificate.read() if isinstance(certificate, FileCertificate) else certificate.pair
    tls, follow = ServerTls(pair.certificate, pair.key, asks=asks), certificate.follow
    return tls, lambda: follow(tls)


def names(wanted: list[str], bind_address: str) -> list[str]:
    """Return the names of a self-made certificate: the requested ones, then the machine's own."""
    own = [socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    if bind_address not in ("0.0.0.0", "::"):
        own.append(bind_address)
    return list(dict.fromkeys([*wanted, *own]))


def _write_port(flag: str, path: Path, port: int) -> None:
    """Write the file atomically, so that no reader sees half of it."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(f"{port}\n")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None
