"""Implement `metal3-workloads move`: move a namespace's Workloads to another management cluster.

Their machines keep running."""

from __future__ import annotations

import argparse

from apiserver.cli.progress import console, reporting
from apiserver.client.client import Client
from controllers.cli.names import add_class, add_completed, add_namespace, workloads
from controllers.cli.resumable import add_arguments, client_of, options_of, print_result, run_resumable
from controllers.move.mover import Mover, Options, Summary


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Moves the Workloads of a namespace, with their secrets, to the namespace of that name in another cluster: one that "
        "relays this one's hosts (WorkloadClass with provisioner metal3.io/relay), or the one that relayed hosts come from. Nothing is "
        "provisioned again or released. Workloads of Cluster API stay: clusterctl move moves those. When interrupted, run it again: it "
        "continues where it was."
    )
    add_completed(parser, "names", nargs="*", metavar="NAME", help="Workloads to move; all of the namespace by default", names=workloads)
    parser.add_argument("--to", required=True, metavar="KUBECONFIG", help="kubeconfig of the cluster to move to")
    parser.add_argument("--to-context", metavar="NAME", help="context of that kubeconfig; its current one by default")
    add_arguments(parser, cluster="the cluster to move from", timeout=300.0)
    add_namespace(parser, "the namespace, of the same name in both clusters")
    add_class(parser, "class there of Workloads without a host; the default one if not given")
    parser.add_argument(
        "--keep-secrets",
        action="store_true",
        help="leave the secrets here as well; by default, those that no Workload names any more are deleted",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Move. Raises UsageError."""
    options = options_of(Options, arguments)

    async def move() -> Summary:
        target = Client(arguments.to, context=arguments.to_context, user_agent="metal3-workloads-move")
        async with client_of(arguments, "metal3-workloads-move") as source, target:
            with reporting("moved", console(arguments)) as reporter:
                return await Mover(source, target, options, reporter).run()

    if (summary := run_resumable(move)) is None:
        return 1
    done = "would move" if options.dry_run else "moved"
    print_result(summary, arguments, f"{len(summary.moved)} {done}, {len(summary.staying)} stay, {len(summary.failed)} failed")
    return 1 if summary.failed else 0
