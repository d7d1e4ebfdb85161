"""Implement `metal3-workloads cordon`: keep a host from new Workloads."""

from __future__ import annotations

import argparse

from apiserver.cli.progress import add_output, as_json
from controllers import kinds
from controllers.cli.names import add_completed, hosts
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import screen, table
from controllers.drain import chosen, cordon
from controllers.fleetreport import Row, host_rows

_COLUMNS = {"host": "HOST", "class": "CLASS", "state": "STATE", "workload": "WORKLOAD"}


def configure(parser: argparse.ArgumentParser, *, unschedulable: bool = True) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Takes hosts out of service: no new Workload gets them, and no namespace is offered them. A Workload that has such a host keeps it."
        if unschedulable
        else "Offers hosts again that `cordon` or `drain` has taken out of service."
    )
    add_completed(parser, "hosts", nargs="+", metavar="HOST", help="names of real hosts, or of their Hosts", names=hosts)
    add_cluster(parser)
    add_output(parser, "table")
    parser.set_defaults(run=run, unschedulable=unschedulable)


def run(arguments: argparse.Namespace) -> int:
    """Cordon or uncordon the hosts, and print them. Raises UsageError."""

    async def write() -> list[Row]:
        async with client_of(arguments, "metal3-workloads-cordon") as client:
            hosts = chosen((await client.list_all(kinds.HOSTS))[0], arguments.hosts)
            return host_rows([await cordon(client, host, unschedulable=arguments.unschedulable) for host in hosts])

    if (rows := run_resumable(write)) is None:
        return 1
    print(as_json(rows) if arguments.output == "json" else "\n".join(table(rows, _COLUMNS, screen())))
    return 0
