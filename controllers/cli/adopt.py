"""Implement `metal3-workloads adopt`: give tenants hosts that their owner uses, without stopping
them."""

from __future__ import annotations

import argparse

from apiserver.cli.progress import console, reporting
from apiserver.cli.running import UsageError
from controllers import kinds
from controllers.adoptionoptions import Options, Summary, chosen_class
from controllers.cli.names import add_class, add_completed, add_namespace, hosts
from controllers.cli.resumable import add_arguments, client_of, options_of, print_result, run_resumable
from controllers.providers.base import BadClass, find_provider


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Gives a namespace real hosts that plain Metal3 or CAPM3 runs today, as they run. A host without a consumer gets a Workload "
        "that describes what runs on it. A host that has a consumer, such as a Metal3Machine, appears under the same name in the "
        "namespace that the consumer moves to. Nothing is powered off, installed or wiped. With --undo, each host is given back as it "
        "was before. After an interruption, run the same command again: it continues where it stopped."
    )
    add_arguments(parser, cluster="the management cluster's owner", timeout=120.0)
    which = "real hosts, as NAME or NAMESPACE/NAME; by default those that consumers of the namespace have, or that it has adopted"
    add_completed(parser, "hosts", nargs="*", metavar="HOST", help=which, names=hosts)
    add_namespace(parser, "the tenant's namespace in the management cluster")
    name = "name of the Workload, for one host; the host's name by default"
    parser.add_argument("--name", dest="workload", default="", metavar="NAME", help=name)
    add_class(parser, "class of the hosts; the default one if not given")
    copies = "copy the secrets with first-boot data that the host names to the namespace, where the tenant can read them"
    parser.add_argument("--copy-secrets", action="store_true", help=copies)
    parser.add_argument(
        "--undo", action="store_true", help="give adopted hosts back to plain Metal3 or CAPM3, as they were and as they run"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Adopt the hosts, or give them back. Raises UsageError."""
    options = options_of(Options, arguments)

    async def adopt() -> Summary:
        async with client_of(arguments, "metal3-workloads-adopt") as management:
            class_ = chosen_class((await management.list_all(kinds.CLASSES))[0], arguments.class_name)
            with reporting("given back" if options.undo else "adopted", console(arguments)) as reporter:
                return await find_provider(class_["spec"]["provisioner"]).adopt(management, class_, options, reporter)

    try:
        summary = run_resumable(adopt)
    except BadClass as error:
        raise UsageError(error.message) from None
    if summary is None:
        return 1
    print_result(summary, arguments, _result(summary, options))
    return 1 if summary.failed else 0


def _result(summary: Summary, options: Options) -> str:
    done = "given back" if options.undo else "adopted"
    waiting = f"would be {done}" if options.dry_run else "waiting for their consumers"
    return f"{len(summary.done)} {done}, {len(summary.waiting)} {waiting}, {len(summary.failed)} failed"
