"""Implement `metal3-workloads recover`: give hosts back to their Workloads after the store was
lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.client.client import Client
from apiserver.client.errors import ApiException, BadConfig
from controllers.providers.base import find_provider, provisioners
from controllers.recovery import Options, RecoverError, Summary

if TYPE_CHECKING:
    import argparse

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Finds hosts that run for Workloads which the store does not know any more, by what the controllers have noted on the real "
        "hosts, and gives them back: the Workloads are created again as they were, and take over their hosts. Nothing is wiped, "
        "restarted or installed. The classes with their secrets and the tenants' namespaces have to be there. It may be run again."
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig of the management cluster's owner; $KUBECONFIG by default")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; its current one by default")
    parser.add_argument("--namespace", "-n", action="append", default=[], metavar="NS", help="only Workloads of this namespace; repeatable")
    parser.add_argument("--class", action="append", default=[], dest="classes", metavar="NAME", help="only hosts of this class; repeatable")
    parser.add_argument(
        "--no-create", action="store_true", help="create no Workloads: tenants apply theirs again, and get their hosts by the same names"
    )
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds to wait for each Workload (default: 120)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Recover. Raises UsageError."""
    options = Options(
        namespaces=frozenset(arguments.namespace),
        classes=frozenset(arguments.classes),
        create=not arguments.no_create,
        dry_run=arguments.dry_run,
        timeout=arguments.timeout,
    )
    summaries: list[Summary] = []

    async def recover() -> None:
        kubeconfig = arguments.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        async with Client(kubeconfig, context=arguments.context, user_agent="metal3-workloads-recover") as management:
            for provider in map(find_provider, provisioners()):
                summaries.append(await provider.recover(management, options, lambda line: print(line, flush=True)))

    try:
        run_until_stopped(recover)
    except RecoverError as error:
        raise UsageError(str(error)) from None
    except BadConfig as error:
        raise UsageError(f"the kubeconfig cannot be used: {error}") from None
    except ApiException as error:
        raise UsageError(f"{error}. Run the same command again to go on") from None
    if len(summaries) < len(provisioners()):
        print("stopped before the end: run the same command again to go on")
        return 1
    recovered, waiting, failed = (
        sum(len(found) for found in lists)
        for lists in zip(*((summary.recovered, summary.waiting, summary.failed) for summary in summaries), strict=True)
    )
    print(f"{recovered} recovered, {waiting} waiting for their Workloads, {failed} failed")
    return 1 if failed else 0
