"""Implement `metal3-workloads fleet`: show the capacity of each class, and the holder of each
host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers import kinds
from controllers.cli.resumable import client_of, run_resumable
from controllers.cli.tables import add_output, as_json, table
from controllers.fleet import capacity, host_rows

if TYPE_CHECKING:
    import argparse

    from apiserver.client.objects import Object

_CAPACITY = {"class": "CLASS", "total": "TOTAL", "free": "FREE", "claimed": "CLAIMED", "unavailable": "UNAVAILABLE"}
_CAPACITY |= {"holders": "HOLDERS", "reasons": "UNAVAILABLE BECAUSE"}
_HOSTS = {"host": "HOST", "class": "CLASS", "state": "STATE", "workload": "WORKLOAD", "message": "WHAT TO DO"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = "Shows the capacity of each class, the namespaces that have its hosts, and each host, for the hardware's owner."
    parser.add_argument("--class", dest="class_name", default="", metavar="NAME", help="only this class")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the fleet. Raises UsageError."""

    async def read() -> tuple[list[Object], list[Object]]:
        async with client_of(arguments, "metal3-workloads-fleet") as client:
            classes, hosts = (await client.list_all(kinds.CLASSES))[0], (await client.list_all(kinds.HOSTS))[0]
        chosen = arguments.class_name
        return [one for one in classes if not chosen or one["metadata"]["name"] == chosen], [
            host for host in hosts if not chosen or host["spec"]["className"] == chosen
        ]

    if (found := run_resumable(read)) is None:
        return 1
    print(shown(*found, as_table=arguments.output == "table"))
    return 0


def shown(classes: list[Object], hosts: list[Object], *, as_table: bool) -> str:
    """Return what the command prints."""
    classes_rows, rows = capacity(classes, hosts), host_rows(hosts)
    if not as_table:
        return as_json({"classes": classes_rows, "hosts": rows})
    return "\n".join([*table(classes_rows, _CAPACITY), "", *table(rows, _HOSTS)])
