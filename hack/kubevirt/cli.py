"""Implement the command line of `hack/simulate-kubevirt`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal

from apiserver.client.client import Client
from hack.kubevirt.controller import Simulation


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Return the exit code."""
    parser = argparse.ArgumentParser(prog="hack/simulate-kubevirt", description="KubeVirt's controllers, without virtual machines.")
    parser.add_argument("--kubeconfig", required=True, help="the cluster that has KubeVirt's kinds")
    parser.add_argument("--namespace", default="", help="only machines of this namespace")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run(options.kubeconfig, options.namespace))
    return 0


async def _run(kubeconfig: str, namespace: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with Client(kubeconfig) as client:
        await Simulation(client, namespace=namespace).run()
