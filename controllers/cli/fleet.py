"""Implement `metal3-workloads fleet`: show the capacity of each class, the holder of each host, and
what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from apiserver.cli.progress import add_output, as_json
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource
from controllers import kinds
from controllers.cli.names import add_class
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import PLAIN, Screen, fitted, screen, table, tree
from controllers.fleetreport import Row, capacity, host_rows, troubled

HEALTHY = ("Available", "Bound")
SHOWN, LINES = 8, 36
"""The most lines of one table on a terminal, and of all tables together."""
_CAPACITY = {"class": "CLASS", "source": "SOURCE", "total": "TOTAL", "free": "FREE", "claimed": "CLAIMED", "unavailable": "UNAVAILABLE"}
_CAPACITY |= {"reserved": "RESERVED", "holders": "HOLDERS", "reasons": "UNAVAILABLE BECAUSE"}
_SOURCES = {"class": "CLASS", "source": "SOURCE", "message": "WHAT IS WRONG"}
_WAITING = {"workload": "WORKLOAD", "class": "CLASS", "reason": "REASON", "message": "WHAT IS WRONG"}
_HOSTS = {"host": "HOST", "class": "CLASS", "state": "STATE", "workload": "WORKLOAD", "reserved": "RESERVED FOR", "message": "WHAT TO DO"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Shows the capacity of each class, the namespaces that have its hosts, each host, and what is wrong with classes, Workloads and "
        "WorkloadSets, for the hardware's owner. A terminal shows hosts with troubles first, and as many as fit on a screen; a pipe gets "
        "all."
    )
    add_class(parser, "only this class")
    parser.add_argument("--tree", action="store_true", help="show a tree of classes, namespaces and their hosts")
    add_cluster(parser)
    add_output(parser, "table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the fleet. Raises UsageError."""

    async def read() -> tuple[list[Object], list[Object], list[Object], list[Object]]:
        async with client_of(arguments, "metal3-workloads-fleet") as client:
            classes, hosts = (await client.list_all(kinds.CLASSES))[0], (await client.list_all(kinds.HOSTS))[0]
            workloads, sets = await _all(client, kinds.WORKLOADS), await _all(client, kinds.SETS)
        chosen = arguments.class_name
        return (
            [one for one in classes if not chosen or one["metadata"]["name"] == chosen],
            [host for host in hosts if not chosen or host["spec"]["className"] == chosen],
            [one for one in workloads if not chosen or one["spec"].get("className") == chosen],
            [one for one in sets if not chosen or one["spec"]["template"]["spec"].get("className") == chosen],
        )

    if (found := run_resumable(read)) is None:
        return 1
    if arguments.output == "json":
        print(as_json(content(*found)))
    else:
        print(trees(found[1], screen()) if arguments.tree else shown(*found, on=screen()))
    return 0


async def _all(client: Client, kind: Resource) -> list[Object]:
    """Return all objects of the kind. There are none for a user who may not list them, and on a
    server of an earlier version without the kind."""
    try:
        return (await client.list_all(kind))[0]
    except ApiException as error:
        if not (error.forbidden or error.not_found):
            raise
        return []


def content(classes: list[Object], hosts: list[Object], workloads: list[Object], sets: Sequence[Object] = ()) -> dict[str, list[Row]]:
    """Return the rows of the tables: classes, hosts, and Workloads and sets in trouble."""
    return {"classes": capacity(classes, hosts), "hosts": host_rows(hosts), "troubles": troubled(workloads, sets)}


def shown(classes: list[Object], hosts: list[Object], workloads: list[Object], sets: Sequence[Object] = (), *, on: Screen = PLAIN) -> str:
    """Return the tables: the troubles first, if there are any."""
    found = content(classes, hosts, workloads, sets)
    lost = [row for row in found["classes"] if row["message"]]
    hosts_first = found["hosts"] if on == PLAIN else sorted(found["hosts"], key=_is_well)
    tables = [
        (found["classes"], _capacity(found["classes"])),
        (lost, _SOURCES),
        (found["troubles"], _WAITING),
        (hosts_first, _of_hosts(hosts_first)),
    ]
    return "\n\n".join("\n".join(part) for part in _on_one_screen([one for one in tables if one[0] or "host" in one[1]], on))


def _on_one_screen(tables: list[tuple[list[Row], dict[str, str]]], on: Screen) -> Iterator[list[str]]:
    """Yield the tables. Each has SHOWN lines, or what the others leave of the screen."""
    wanted = [min(len(table(rows[:SHOWN], columns, on)), SHOWN) + 2 for rows, columns in tables]
    used = 0
    for number, (rows, columns) in enumerate(tables):
        part = fitted(rows, columns, on, max(SHOWN, LINES - used - sum(wanted[number + 1 :])))
        used += len(part) + 1
        yield part


def _is_well(row: Row) -> bool:
    return row["state"] in HEALTHY and not row["message"]


def _capacity(rows: list[Row]) -> dict[str, str]:
    """Return the columns TOTAL and FREE, and those in which any row has a value."""
    return {key: name for key, name in _CAPACITY.items() if key in ("total", "free") or any(row[key] for row in rows)}


def _of_hosts(rows: list[Row]) -> dict[str, str]:
    """Return the columns of the hosts, without a column of Reservations if there is none."""
    return _HOSTS if any(row["reserved"] for row in rows) else {key: name for key, name in _HOSTS.items() if key != "reserved"}


def trees(hosts: list[Object], on: Screen = PLAIN) -> str:
    """Return a tree for each class: its namespaces with their hosts, and the hosts in trouble."""
    return "\n".join(line for row in capacity([], hosts) for line in tree(_title(row), _branches(row["class"], hosts), on))


def _title(row: Row) -> str:
    return f"{row['class']}: {row['total']} hosts, {row['free']} free, {row['claimed']} claimed, {row['unavailable']} unavailable"


def _branches(class_name: str, hosts: list[Object]) -> list[tuple[str, list[str]]]:
    branches: dict[str, list[str]] = {}
    for row in host_rows(host for host in hosts if host["spec"]["className"] == class_name):
        namespace, _, name = row["workload"].partition("/")
        state = "" if row["state"] in HEALTHY else f" {row['state']}"
        if namespace:
            branches.setdefault(namespace, []).append(f"{row['host']}: {name}{state}")
        else:
            branches.setdefault("(unavailable)" if state else "(free)", []).append(f"{row['host']}{state}")
    return sorted(branches.items())
