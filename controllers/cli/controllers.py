"""Implement `metal3-workloads controllers`: run the controllers of one management cluster."""

from __future__ import annotations

import argparse
import asyncio
import gc
from pathlib import Path

from prometheus_client import CollectorRegistry

from apiserver.cli.health import HealthServer
from apiserver.cli.metricsserver import MetricsServer
from apiserver.cli.otel import add_tracing_flags, traced
from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.client import metrics as clientmetrics
from apiserver.client.client import Client
from apiserver.client.errors import BadConfig
from controllers.run import Health, run_controllers
from controllers.runtime import metrics
from controllers.runtime.leader import LeadershipLost, Timing


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = "Binds Workloads to hosts and drives the hosts of all WorkloadClasses of one management cluster."
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig of the management cluster; the pod's service account by default")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; its current one by default")
    parser.add_argument(
        "--apiserver",
        default="",
        metavar="URL",
        help="the API server itself, for requests about its own kinds: https://metal3-workloads-apiserver.metal3-workloads-system.svc; "
        "kube-apiserver, which is one hop more, by default, and whenever it cannot be reached",
    )
    parser.add_argument("--leader-elect", action="store_true", help="work only while holding a Lease, so that replicas take turns")
    parser.add_argument(
        "--leader-elect-namespace", default="metal3-workloads-system", metavar="NS", help="namespace of the Lease (default: %(default)s)"
    )
    timing = Timing()
    for flag, default, what in (
        ("lease-duration", timing.duration, "time after the last renewal at which another replica takes over"),
        ("renew-deadline", timing.renew_deadline, "time without a renewal after which this replica gives up leadership"),
        ("retry-period", timing.retry, "time between attempts to take or renew the Lease"),
    ):
        parser.add_argument(
            f"--leader-elect-{flag}", type=float, default=default, metavar="S", help=f"{what}, in seconds (default: %(default)g)"
        )
    parser.add_argument(
        "--host-view-group",
        default="metal3.io",
        choices=("metal3.io", "workload.metal3.io"),
        help="the API group that the server serves the BareMetalHost view under (default: %(default)s)",
    )
    parser.add_argument("--health-port", type=int, default=-1, metavar="P", help="serve /readyz and /livez on this port")
    parser.add_argument(
        "--health-bind-address", default="127.0.0.1", metavar="IP", help="address of the health port (default: 127.0.0.1; 0.0.0.0 in a pod)"
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=-1,
        metavar="P",
        help="serve /metrics on this port, over TLS, to users that may get it (ClusterRole metal3-workloads-metrics; default: nowhere)",
    )
    parser.add_argument(
        "--metrics-bind-address", default="127.0.0.1", metavar="IP", help="address of the metrics port (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--metrics-cert-file",
        type=Path,
        metavar="FILE",
        help="certificate of the metrics port and intermediates, PEM; self-made by default",
    )
    parser.add_argument("--metrics-key-file", type=Path, metavar="FILE", help="the key of that certificate, PEM, unencrypted")
    add_tracing_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped. Raises UsageError, also if leadership is lost, so that the process is
    restarted."""
    with traced(arguments, "metal3-workloads-controllers"):
        return run_until_stopped(lambda: _control(arguments))


async def _control(arguments: argparse.Namespace) -> None:
    health = Health()
    if arguments.apiserver and not arguments.apiserver.startswith("https://"):
        raise UsageError(f"--apiserver {arguments.apiserver}: its URL has to begin with https://")
    try:
        timing = Timing(arguments.leader_elect_lease_duration, arguments.leader_elect_renew_deadline, arguments.leader_elect_retry_period)
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        async with asyncio.TaskGroup() as group:
            if arguments.health_port >= 0:
                group.create_task(HealthServer(arguments.health_port, health.problem, arguments.health_bind_address).run())
            group.create_task(_settle(health))
            registry = _serve_metrics(arguments, group)
            await run_controllers(
                arguments.kubeconfig,
                context=arguments.context,
                leader_elect=arguments.leader_elect,
                namespace=arguments.leader_elect_namespace,
                timing=timing,
                view_group=arguments.host_view_group,
                apiserver=arguments.apiserver,
                health=health,
                registry=registry,
            )
    except* BadConfig as failed:
        raise UsageError(f"the management cluster cannot be used: {failed.exceptions[0]}") from None
    except* LeadershipLost as failed:
        raise UsageError(f"{failed.exceptions[0]}") from None


def _serve_metrics(arguments: argparse.Namespace, group: asyncio.TaskGroup) -> CollectorRegistry | None:
    """Serve the metrics of this process if there is a port for them, and return their registry.

    Raises UsageError."""
    if (arguments.metrics_cert_file is None) != (arguments.metrics_key_file is None):
        raise UsageError("--metrics-cert-file and --metrics-key-file belong together: give both, or none for a self-made certificate")
    if arguments.metrics_port < 0:
        return None
    files = (arguments.metrics_cert_file, arguments.metrics_key_file) if arguments.metrics_cert_file is not None else None
    client = Client(arguments.kubeconfig, context=arguments.context, user_agent="metal3-workloads-controllers-metrics")
    server = MetricsServer(client, arguments.metrics_port, arguments.metrics_bind_address, files)
    for collector in (*clientmetrics.COLLECTORS, *metrics.COLLECTORS):
        server.registry.register(collector)

    async def serve() -> None:
        async with client:
            await server.run()

    group.create_task(serve(), name="metrics")
    return server.registry


async def _settle(health: Health) -> None:
    """Exclude the objects read at the start from garbage collection, whose pauses grow with their
    number."""
    await health.started.wait()
    gc.collect()
    gc.freeze()
