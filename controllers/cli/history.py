"""Implement `metal3-workloads history`: show the earlier claims of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.cli.running import UsageError
from controllers import kinds
from controllers.cli.resumable import client_of, run_resumable
from controllers.cli.tables import add_output, as_json, table
from controllers.fleet import claims, named

if TYPE_CHECKING:
    import argparse

    from apiserver.client.objects import Object

_COLUMNS = {"namespace": "TENANT", "name": "WORKLOAD", "boundAt": "BOUND", "runningAt": "RUNNING", "releasedAt": "RELEASED"}
_COLUMNS |= {"cleanedAt": "CLEANED", "outcome": "OUTCOME", "image": "IMAGE", "lastError": "LAST ERROR"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Shows the last claims of a host, the latest first: which Workload had it from when to when, what ran, and how it ended."
    )
    parser.add_argument("host", metavar="HOST", help="name of the real host, or of its Host")
    add_output(parser)
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
    print(shown(found, as_table=arguments.output == "table"))
    return 0


def shown(hosts: list[Object], *, as_table: bool) -> str:
    """Return what the command prints about hosts of one name, which may be of several sources."""
    if not as_table:
        return as_json([{"host": host["spec"]["source"]["name"], "claims": claims(host)} for host in hosts])
    return "\n\n".join("\n".join([_title(host), *_claims(host)]) for host in hosts)


def _title(host: Object) -> str:
    return f"{host['spec']['source']['name']} of class {host['spec']['className']} (Host {host['metadata']['name']})"


def _claims(host: Object) -> list[str]:
    rows = claims(host)
    if not rows:
        return ["no claims are recorded"]
    return table(rows, {key: name for key, name in _COLUMNS.items() if any(row.get(key) for row in rows)})
