"""Implement `metal3-workloads recover`: give hosts back to their Workloads after the store was
lost."""

from __future__ import annotations

import argparse

from apiserver.cli.progress import console, reporting
from controllers.cli.names import add_completed, classes, namespaces
from controllers.cli.resumable import add_arguments, client_of, options_of, print_result, run_resumable
from controllers.providers.base import find_provider, provisioners
from controllers.recovery import Options, Summary


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Finds hosts that run for Workloads which the store does not know any more, by what the controllers have recorded on the real "
        "hosts, and gives them back: the Workloads are created again as they were, and take over their hosts. Nothing is wiped, "
        "restarted or installed. The classes with their secrets and the tenants' namespaces have to be there. You may run it again."
    )
    add_arguments(parser, cluster="the management cluster's owner", timeout=120.0)
    only = "only Workloads of this namespace; repeatable"
    add_completed(parser, "--namespace", "-n", action="append", default=[], dest="namespaces", metavar="NS", help=only, names=namespaces)
    add_completed(
        parser,
        "--class",
        action="append",
        default=[],
        dest="classes",
        metavar="NAME",
        help="only hosts of this class; repeatable",
        names=classes,
    )
    keep = "create no Workloads: tenants apply theirs again, and get their hosts by the same names"
    parser.add_argument("--no-create", action="store_false", dest="create", help=keep)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Recover. Raises UsageError."""
    options = options_of(Options, arguments)

    async def recover() -> Summary:
        whole = Summary()
        async with client_of(arguments, "metal3-workloads-recover") as management:
            with reporting("recovered", console(arguments)) as reporter:
                for provider in map(find_provider, provisioners()):
                    whole += await provider.recover(management, options, reporter)
        return whole

    if (summary := run_resumable(recover)) is None:
        return 1
    counts = f"{len(summary.recovered)} recovered, {len(summary.waiting)} waiting for their Workloads, {len(summary.failed)} failed"
    print_result(summary, arguments, counts)
    return 1 if summary.failed else 0
