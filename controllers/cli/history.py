"""Implement `metal3-workloads history`: show the earlier claims of a host."""

from __future__ import annotations

import argparse

from apiserver.cli.progress import add_output, as_json
from apiserver.cli.running import UsageError
from apiserver.client.objects import Object
from apiserver.client.text import printable
from controllers import kinds
from controllers.cli.names import add_completed, hosts
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import PLAIN, Screen, more, screen, table, tree
from controllers.fleetreport import Row, claims, named

_COLUMNS = {"namespace": "TENANT", "name": "WORKLOAD", "boundAt": "BOUND", "runningAt": "RUNNING", "releasedAt": "RELEASED"}
_COLUMNS |= {"cleanedAt": "CLEANED", "outcome": "OUTCOME", "image": "IMAGE", "lastError": "LAST ERROR"}
_DETAILS = {"lastError": "error", "image": "image"}
SHOWN = 8
"""The most claims on a terminal, so that they fit on one screen."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Shows the last claims of a host, the latest first: which Workload had it from when to when, what ran, and how it ended."
    )
    add_completed(parser, "host", metavar="HOST", help="name of the real host, or of its Host", names=hosts)
    add_cluster(parser)
    add_output(parser, "table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the history. Raises UsageError."""

    async def read() -> list[Object]:
        async with client_of(arguments, "metal3-workloads-history") as client:
            return named((await client.list_all(kinds.HOSTS))[0], arguments.host)

    if (found := run_resumable(read)) is None:
        return 1
    if not found:
        raise UsageError(f"there is no host {arguments.host}: metal3-workloads fleet lists them")
    print(as_json(content(found)) if arguments.output == "json" else shown(found, screen()))
    return 0


def content(hosts: list[Object]) -> list[Row]:
    """Return the claims of all hosts of one name. Hosts of different sources may have the same
    name."""
    return [{"host": host["spec"]["source"]["name"], "claims": claims(host)} for host in hosts]


def shown(hosts: list[Object], on: Screen = PLAIN) -> str:
    """Return a table for programs, and a tree for a terminal, which has no room for the table."""
    return "\n\n".join("\n".join([_title(host), *_claims(host)] if on == PLAIN else _tree(host, on)) for host in hosts)


def _tree(host: Object, on: Screen) -> list[str]:
    rows = claims(host)
    branches = [(_claim(row), [f"{name}: {row[key]}" for key, name in _DETAILS.items() if row.get(key)]) for row in rows[:SHOWN]]
    lines = tree(_title(host), branches or [("no claims are recorded", [])], on)
    return lines if len(rows) <= SHOWN else [*lines, more(len(rows) - SHOWN)]


def _claim(row: Row) -> str:
    until = f"to {row['releasedAt']}, {row.get('outcome') or 'released'}" if row.get("releasedAt") else "has it"
    return f"{row['namespace']}/{row['name']}: {row.get('boundAt') or '?'} {until}"


def _title(host: Object) -> str:
    return printable(f"{host['spec']['source']['name']} of class {host['spec']['className']} (Host {host['metadata']['name']})")


def _claims(host: Object) -> list[str]:
    rows = claims(host)
    if not rows:
        return ["no claims are recorded"]
    return table(rows, {key: name for key, name in _COLUMNS.items() if any(row.get(key) for row in rows)})
