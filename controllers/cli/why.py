"""Implement `metal3-workloads why`: explain what a Workload or a WorkloadSet waits for, and what would
free it."""

from __future__ import annotations

import argparse
from dataclasses import replace

from apiserver.cli.progress import add_output, as_json
from apiserver.cli.running import UsageError
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, uid_of
from controllers import kinds
from controllers.cli.names import add_completed, add_namespace, workloads_or_sets
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import PLAIN, Screen, fitted, folded, more, screen
from controllers.fleetreport import SET, Row, gang_row, why, why_set
from controllers.owners import controlling_set

SHOWN = 20
"""The most hosts in a table, so that it fits on one screen."""
LINES = 36
"""The lines of a screen, without the prompt."""
_MEMBERS = {"workload": "MEMBER", "phase": "PHASE", "host": "HOST", "reason": "REASON", "message": "WHAT IT WAITS FOR"}
_COLUMNS = {"host": "HOST", "state": "STATE", "workload": "WORKLOAD", "why": "WHY NOT THIS ONE", "to_free": "WHAT WOULD CHANGE IT"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Explains what a Workload waits for: the condition that says so, and for each host of its class why the Workload does not have it "
        "and what would change that. A tenant sees only the condition, because tenants may not read Hosts. Of a "
        "WorkloadSet, it shows the members, those that are not ready first."
    )
    help_ = f"name of the Workload, or {SET}NAME for a WorkloadSet; a name that no Workload has may be a set's"
    add_completed(parser, "name", metavar="WORKLOAD", help=help_, names=workloads_or_sets)
    add_namespace(parser, "namespace of the Workload")
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
    name = name.removeprefix("workload/")
    plain = name.removeprefix(SET)
    workload = await client.find(kinds.WORKLOADS, name, namespace) if plain == name else None
    if workload is None:
        return await _explained_set(client, plain, namespace, "WorkloadSet" if plain != name else "Workload")
    hosts, uid = await _owners_view(client, namespace)
    others = (await client.list_all(kinds.WORKLOADS, namespace))[0] if workload["spec"].get("gang") else []
    owner = (controlling_set(workload) or {}).get("name") or ""
    return {**why(workload, hosts, uid), "gang": gang_row(workload, others), "workloadset": owner}


async def _explained_set(client: Client, name: str, namespace: str, kind: str) -> Row:
    set_ = await client.find(kinds.SETS, name, namespace)
    if set_ is None:
        plural = f"{kind.lower()}s.{kinds.GROUP}"
        raise UsageError(f"there is no {kind} {name} in the namespace {namespace}: kubectl -n {namespace} get {plural}")
    return why_set(set_, (await client.list_all(kinds.WORKLOADS, namespace))[0])


async def _owners_view(client: Client, namespace: str) -> tuple[list[Object], str]:
    """Return all Hosts and the namespace's uid, or nothing for a tenant."""
    try:
        hosts, _ = await client.list_all(kinds.HOSTS)
        found = await client.find(kinds.NAMESPACES, namespace)
    except ApiException as error:
        if not error.forbidden:
            raise
        return [], ""
    return hosts, uid_of(found) if found is not None else ""


def shown(found: Row, on: Screen = PLAIN) -> str:
    """Return the explanation as text of about one screen."""
    if "members" in found:
        return _shown_set(found, on)
    reason = f" ({found['reason']})" if found["reason"] else ""
    title = f"{found['workload']} is {found['phase']}{reason}, of class {found['class'] or '(none)'}:"
    lines = [*folded(title, on), *(f"  {line}" for line in folded(found["message"], replace(on, width=on.width - 2)))]
    lines += [f"  {line}" for line in _of_group(found, replace(on, width=on.width - 2))]
    return "\n".join([*lines, *_rows(found["hosts"], _COLUMNS, on, LINES - len(lines))])


def _of_group(found: Row, on: Screen) -> list[str]:
    """Return the lines about the gang and the set of the Workload."""
    lines, gang, owner = list[str](), found.get("gang"), found.get("workloadset")
    if gang:
        text = (
            f"its gang {gang['name']} has {gang['members']} members, {gang['hosts']} of them with a host; {gang['needed']} get one together"
        )
        lines += folded(text, on)
    if owner:
        lines += folded(
            f"it is a member of the WorkloadSet {owner}: metal3-workloads why {SET}{owner} -n {found['workload'].partition('/')[0]}", on
        )
    return lines


def _shown_set(found: Row, on: Screen) -> str:
    reason = f" ({found['reason']})" if found["reason"] else ""
    head = f"WorkloadSet {found['workloadset']} is {found['state']}{reason}, of class {found['class'] or '(the default)'}; "
    title = f"{head}{found['available']} of {found['replicas']} members are available:"
    lines = [*folded(title, on), *(f"  {line}" for line in folded(found["message"], replace(on, width=on.width - 2)))]
    return "\n".join([*lines, *_rows(found["members"], _MEMBERS, on, LINES - len(lines))])


def _rows(rows: list[Row], columns: dict[str, str], on: Screen, height: int) -> list[str]:
    """Return a table of the first rows, after an empty line, and how many there are beside."""
    if not rows:
        return []
    used = {key: name for key, name in columns.items() if any(row.get(key) for row in rows)}
    lines = ["", *fitted(rows[:SHOWN], used, on, height)]
    if len(rows) > SHOWN and lines[-1] != more(len(rows) - SHOWN):
        lines.append(more(len(rows) - SHOWN))
    return lines
