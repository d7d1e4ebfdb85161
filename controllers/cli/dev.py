"""Implement `metal3-workloads dev`: run everything in one process, without a cluster.

Two servers, the controllers and a simulated Baremetal Operator communicate over HTTP, as in a real
installation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from apiserver.cli.otel import add_tracing_flags, traced
from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.client import metrics as clientmetrics
from apiserver.client.client import Client
from apiserver.dev import policy, seed
from apiserver.dev.directory import ENDPOINTS, BadDirectory, Directory
from apiserver.dev.endpoints import Endpoint, hardware_endpoint, management_endpoint
from apiserver.dev.kubeconfigs import Context, client_certificate, kubeconfig, servers
from apiserver.dev.tour import FILES, tour
from apiserver.filters.authorization import MASTERS
from apiserver.server.app import CannotListen
from apiserver.server.pki import Authority
from controllers.run import Health, run_controllers
from controllers.runtime import metrics
from controllers.simulator.controller import Simulator
from controllers.simulator.settings import Settings
from storage.base import StorageError

log = logging.getLogger(__name__)

RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True)
class Options:
    """Hold the user's options. `ports` maps the name of each endpoint to its chosen port, 0 for a
    free one."""

    hosts: int
    ports: dict[str, int]
    settings: Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Runs a management and a hardware API server on loopback, the controllers and a simulated Baremetal Operator in one "
        "process, with kubeconfigs for the hardware's owner and two tenants. All state is in one folder, which the next start uses again."
    )
    parser.add_argument(
        "--dir", default=".dev", metavar="DIR", help="the folder for databases, certificates and kubeconfigs (default: .dev)"
    )
    parser.add_argument("--hosts", type=int, default=4, metavar="N", help="number of simulated hosts (default: 4); more may be added later")
    for endpoint in ENDPOINTS:
        help_ = f"port of the {endpoint} endpoint (default: a free one at first, then the same again)"
        parser.add_argument(f"--{endpoint}-port", type=int, default=0, metavar="P", help=help_)
    parser.add_argument(
        "--bmo-speed",
        type=float,
        default=1.0,
        metavar="X",
        help="factor on the simulated hardware's durations: 0.1 is ten times as fast (default: 1)",
    )
    add_tracing_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped. Raises UsageError."""
    options = _options(arguments)
    directory = Directory(Path(arguments.dir))
    try:
        directory.open()
        with traced(arguments, "metal3-workloads-dev"):
            return run_until_stopped(lambda: _dev(directory, options))
    except BadDirectory as error:
        raise UsageError(str(error)) from None
    finally:
        directory.close()


def _options(arguments: argparse.Namespace) -> Options:
    if not 0 <= arguments.hosts <= 10_000:
        raise UsageError("--hosts must be between 0 and 10000")
    ports = {endpoint: getattr(arguments, f"{endpoint}_port") for endpoint in ENDPOINTS}
    if any(not 0 <= port <= 65535 for port in ports.values()):
        raise UsageError("ports are between 1 and 65535 (0: a free one)")
    try:
        return Options(arguments.hosts, ports, Settings().scaled(arguments.bmo_speed))
    except ValueError as error:
        raise UsageError(f"--bmo-speed: {error}") from None


async def _dev(directory: Directory, options: Options) -> None:
    authority = directory.authority()
    kept = directory.ports()
    ports = {endpoint: options.ports[endpoint] or kept[endpoint] for endpoint in ENDPOINTS}
    hardware = hardware_endpoint(directory.path / "hardware.db", authority, ports["hardware"])
    async with _started("hardware", hardware):
        await seed.create_missing(seed.hardware(options.hosts), hardware.by_kind, hardware.core.configmaps)
        management = management_endpoint(directory.path / "management.db", authority, ports["management"])
        async with _started("management", management):
            directory.keep_ports(management=management.app.port, hardware=hardware.app.port)
            urls = {"management": management.app.url, "hardware": hardware.app.url}
            credentials = _internal(authority, "provider", policy.PROVIDER, urls["hardware"])
            await seed.create_missing(seed.management(credentials), management.by_kind, management.core.configmaps)
            await seed.refresh_credentials(management.core.secrets, credentials)
            _write_files(directory, authority, urls)
            registry = management.app.metrics.registry
            for collector in (*clientmetrics.COLLECTORS, *metrics.COLLECTORS):
                registry.register(collector)
            await _work(directory, authority, urls, options.settings, registry)


@contextlib.asynccontextmanager
async def _started(name: str, endpoint: Endpoint) -> AsyncIterator[None]:
    try:
        await endpoint.app.start()
    except CannotListen as error:
        raise UsageError(f"the {name} endpoint cannot start: {error}. Choose with --{name}-port") from None
    except StorageError as error:
        raise UsageError(f"the {name} endpoint cannot start: {error}") from None
    try:
        yield
    finally:
        await endpoint.app.stop()


async def _work(directory: Directory, authority: Authority, urls: dict[str, str], settings: Settings, registry: CollectorRegistry) -> None:
    """Run the controllers and the simulated operator until cancelled."""
    operator = _internal(authority, "baremetal-operator", policy.OPERATOR, urls["hardware"])
    controllers = _internal(authority, "controllers", policy.CONTROLLERS, urls["management"])
    health = Health()
    async with Client(operator) as client, asyncio.TaskGroup() as group:
        group.create_task(Simulator(client, settings).run(), name="simulated Baremetal Operator")
        group.create_task(run_controllers(controllers, health=health, registry=registry), name="controllers")
        await health.started.wait()
        print(tour(directory.path, urls), flush=True)


def _internal(authority: Authority, user: str, group: str, url: str) -> dict[str, Any]:
    """Return a kubeconfig for a component of this project."""
    identity = authority.client(f"system:metal3-workloads:{user}", [group])
    return kubeconfig(user, identity, authority.pair.certificate, [Context("cluster", url)])


def _write_files(directory: Directory, authority: Authority, urls: dict[str, str]) -> None:
    """Write the kubeconfigs of the owner and the tenants, and the tour's examples if they are
    missing."""
    owner = [Context("management", urls["management"]), Context("hardware", urls["hardware"], seed.HARDWARE_NAMESPACE)]
    _write_kubeconfig(directory, authority, "owner", MASTERS, owner)
    for tenant in seed.TENANTS:
        _write_kubeconfig(directory, authority, tenant, policy.TENANT_PREFIX + tenant, [Context("management", urls["management"], tenant)])
    for name, text in FILES.items():
        if not (directory.path / name).exists():
            directory.write(name, text)


def _write_kubeconfig(directory: Directory, authority: Authority, user: str, group: str, contexts: Sequence[Context]) -> None:
    """Write a kubeconfig unless the present one is still valid, because users may have changed its
    contexts."""
    name = f"{user}.kubeconfig"
    there = directory.read_mapping(name)
    good = authority.vouches(client_certificate(there), remaining=RENEW_BEFORE)
    if not good or not {context.server for context in contexts} <= servers(there):
        made = kubeconfig(user, authority.client(user, [group]), authority.pair.certificate, contexts)
        directory.write(name, json.dumps(made, indent=1))
