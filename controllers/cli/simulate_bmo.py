"""Implement `metal3-workloads simulate-bmo`: simulate a Baremetal Operator without hardware.

The cluster must have the BareMetalHost kind."""

from __future__ import annotations

import argparse
import asyncio
import logging

from apiserver.cli.health import HealthServer
from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.client.client import Client
from apiserver.client.errors import BadConfig
from controllers.simulator.controller import Simulator
from controllers.simulator.settings import Settings

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Takes the BareMetalHosts of a cluster through the Baremetal Operator's states, with no hardware behind them. "
        "Never run it where a real Baremetal Operator runs."
    )
    parser.add_argument("--kubeconfig", required=True, metavar="FILE", help="kubeconfig of the hardware cluster")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; its current one by default")
    parser.add_argument("--namespace", default="", help="namespace of the hosts; all by default")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="X",
        help="factor on all durations: 0.1 is ten times as fast (default: 1)",
    )
    parser.add_argument("--health-port", type=int, default=-1, metavar="P", help="serve /readyz and /livez on this port of loopback")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the simulation until stopped. Raises UsageError."""
    try:
        settings = Settings().scaled(arguments.speed)
    except ValueError as error:
        raise UsageError(f"--speed: {error}") from None
    return run_until_stopped(lambda: _simulate(arguments, settings))


async def _simulate(arguments: argparse.Namespace, settings: Settings) -> None:
    try:
        async with Client(arguments.kubeconfig, context=arguments.context) as client, asyncio.TaskGroup() as group:
            simulator = Simulator(client, settings, namespace=arguments.namespace)
            if arguments.health_port >= 0:
                group.create_task(HealthServer(arguments.health_port, simulator.manager.unhealthy).run())
            log.info("simulating a Baremetal Operator for %s", arguments.namespace or "all namespaces")
            await simulator.run()
    except* BadConfig as group_error:
        raise UsageError(f"--kubeconfig {arguments.kubeconfig}: {group_error.exceptions[0]}") from None
