"""Implement `metal3-workloads why`: explain what a Workload waits for, and what would free it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from apiserver.cli.progress import add_output, as_json
from apiserver.cli.running import UsageError
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, uid_of
from controllers import kinds
from controllers.cli.names import completes, namespaces, workloads
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import PLAIN, Screen, fitted, folded, more, screen
from controllers.fleet import Row, why

if TYPE_CHECKING:
    from apiserver.client.client import Client

SHOWN = 20
"""The most hosts in a table, so that it fits on one screen."""
LINES = 36
"""The lines of a screen, without the prompt."""
FORBIDDEN = 403
_COLUMNS = {"host": "HOST", "state": "STATE", "workload": "WORKLOAD", "why": "WHY NOT THIS ONE", "to_free": "WHAT WOULD CHANGE IT"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Explains what a Workload waits for: the condition that says so, and for each host of its class why the Workload does not have it "
        "and what would change that. A tenant sees only the condition, because tenants may not read Hosts."
    )
    completes(parser.add_argument("name", metavar="WORKLOAD", help="name of the Workload"), workloads)
    completes(parser.add_argument("--namespace", "-n", required=True, metavar="NS", help="namespace of the Workload"), namespaces)
    add_cluster(parser)
    add_output(parser, "table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation. Raises UsageError."""

    async def read() -> Row:
        async with client_of(arguments, "metal3-workloads-why") as client:
            return await _explained(client, arguments.name, arguments.namespace)

    if (found := run_resumable(read)) is None:
        return 1
    print(as_json(found) if arguments.output == "json" else shown(found, screen()))
    return 0


async def _explained(client: Client, name: str, namespace: str) -> Row:
    workload = await client.find(kinds.WORKLOADS, name, namespace)
    if workload is None:
        raise UsageError(
            f"there is no Workload {name} in the namespace {namespace}: kubectl -n {namespace} get workloads.workload.metal3.io"
        )
    hosts, uid = await _owners_view(client, namespace)
    return why(workload, hosts, uid)


async def _owners_view(client: Client, namespace: str) -> tuple[list[Object], str]:
    """Return all Hosts and the namespace's uid, or nothing for a tenant."""
    try:
        hosts, _ = await client.list_all(kinds.HOSTS)
        found = await client.find(kinds.NAMESPACES, namespace)
    except ApiException as error:
        if error.status != FORBIDDEN:
            raise
        return [], ""
    return hosts, uid_of(found) if found is not None else ""


def shown(found: Row, on: Screen = PLAIN) -> str:
    """Return the explanation as text of about one screen."""
    reason = f" ({found['reason']})" if found["reason"] else ""
    title = f"{found['workload']} is {found['phase']}{reason}, of class {found['class'] or '(none)'}:"
    lines = [*folded(title, on), *(f"  {line}" for line in folded(found["message"], replace(on, width=on.width - 2)))]
    rows = found["hosts"]
    if rows:
        columns = {key: name for key, name in _COLUMNS.items() if any(row.get(key) for row in rows)}
        lines += ["", *fitted(rows[:SHOWN], columns, on, LINES - len(lines))]
    if len(rows) > SHOWN and lines[-1] != more(len(rows) - SHOWN):
        lines.append(more(len(rows) - SHOWN))
    return "\n".join(lines)
