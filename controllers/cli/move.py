"""Implement `metal3-workloads move`: move a namespace's Workloads to another management cluster.

Their machines keep running."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from apiserver.cli.running import UsageError, run_until_stopped
from apiserver.client.client import Client
from apiserver.client.errors import ApiException, BadConfig
from controllers.move.mover import MoveError, Mover, Options, Summary

if TYPE_CHECKING:
    import argparse

__all__ = ["configure"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Moves the Workloads of a namespace, with their secrets, to the namespace of that name in another cluster: one that "
        "relays this one's hosts (WorkloadClass with provisioner metal3.io/relay), or the one that relayed hosts come from. Nothing is "
        "provisioned again or released. Workloads of Cluster API stay: clusterctl move moves those. When interrupted, run it again: it "
        "continues where it was."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="Workloads to move; all of the namespace by default")
    parser.add_argument("--to", required=True, metavar="KUBECONFIG", help="kubeconfig of the cluster to move to")
    parser.add_argument("--to-context", metavar="NAME", help="context of that kubeconfig; its current one by default")
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig of the cluster to move from; $KUBECONFIG or ~/.kube/config by default"
    )
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; its current one by default")
    parser.add_argument("--namespace", "-n", required=True, metavar="NS", help="the namespace, of the same name in both clusters")
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME", help="class there of Workloads without a host; the default one if not given"
    )
    parser.add_argument(
        "--keep-secrets", action="store_true", help="leave the secrets here as well; otherwise those that no Workload names go"
    )
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds to wait for each Workload (default: 300)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Move. Raises UsageError."""
    options = Options(
        namespace=arguments.namespace,
        names=arguments.names,
        class_name=arguments.class_name,
        keep_secrets=arguments.keep_secrets,
        dry_run=arguments.dry_run,
        timeout=arguments.timeout,
    )
    summaries: list[Summary] = []

    async def move() -> None:
        source = Client(arguments.kubeconfig or _default_kubeconfig(), context=arguments.context, user_agent="metal3-workloads-move")
        target = Client(arguments.to, context=arguments.to_context, user_agent="metal3-workloads-move")
        async with source, target:
            summaries.append(await Mover(source, target, options, lambda line: print(line, flush=True)).run())

    try:
        run_until_stopped(move)
    except MoveError as error:
        raise UsageError(str(error)) from None
    except BadConfig as error:
        raise UsageError(f"a kubeconfig cannot be used: {error}") from None
    except ApiException as error:
        raise UsageError(f"{error}. Run the same command again to continue") from None
    if not summaries:
        print("stopped before the end: run the same command again to continue")
        return 1
    [summary] = summaries
    done = "would move" if options.dry_run else "moved"
    print(f"{len(summary.moved)} {done}, {len(summary.staying)} stay, {len(summary.failed)} failed")
    return 1 if summary.failed else 0


def _default_kubeconfig() -> str:
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
