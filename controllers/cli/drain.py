"""Implement `metal3-workloads drain`: take hosts out of service, and wait until none is
claimed."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from apiserver.cli.progress import add_output, as_json, console, reporting
from controllers import kinds
from controllers.cli.names import add_completed, hosts
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import PLAIN, Screen, screen, table
from controllers.drain import Options, chosen, drain, drained
from controllers.fleetreport import Row
from controllers.resumable import Reporter

_COLUMNS = {"host": "HOST", "class": "CLASS", "state": "STATE", "workload": "WORKLOAD", "message": "NOW", "to_free": "WHAT WOULD FREE IT"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Takes hosts out of service: cordons them, so that no Workload gets them, and waits until their tenants have released them. It "
        "shows which Workload has each host and what would free it. It ends no claim and wipes no machine: only the tenant of a host does "
        "that. Hosts stay cordoned until `uncordon`, also when the command is interrupted; run it again to continue."
    )
    add_completed(parser, "hosts", nargs="+", metavar="HOST", help="names of real hosts, or of their Hosts", names=hosts)
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds to wait for all hosts together (default: %(default)g)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the holders of the hosts, and change nothing")
    add_cluster(parser)
    add_output(parser, "table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Drain the hosts. Returns 1 if any host is still in use. Raises UsageError."""

    async def main() -> list[Row]:
        async with client_of(arguments, "metal3-workloads-drain") as client:
            hosts = chosen((await client.list_all(kinds.HOSTS))[0], arguments.hosts)
            options = Options(hosts=hosts, timeout=arguments.timeout, dry_run=arguments.dry_run)
            with reporting("drained", console(arguments, stderr=True)) as reporter:
                return await drain(client, options, tell(reporter))

    if (rows := run_resumable(main)) is None:
        return 1
    print(as_json(rows) if arguments.output == "json" else result(rows, screen()))
    return 0 if drained(rows) else 1


def tell(reporter: Reporter) -> Callable[[list[Row]], None]:
    """Return a function that shows each change of a host, and how many are drained."""
    printed: dict[str, str] = {}

    def report(rows: list[Row]) -> None:
        for row in rows:
            line = progress_line(row)
            if printed.get(row["host"]) != line:
                printed[row["host"]] = line
                reporter.say(line)
        reporter.advance(sum(drained([row]) for row in rows), len(rows))

    return report


def progress_line(row: Row) -> str:
    """Return the line about a host that has changed."""
    return f"{row['host']}: {row['state']}{': ' if row['message'] else ''}{row['message']}"


def result(rows: list[Row], on: Screen = PLAIN) -> str:
    """Return the final table, and what to do about hosts that are still in use."""
    lines = table(rows, {key: name for key, name in _COLUMNS.items() if any(row[key] for row in rows)}, on)
    if not drained(rows):
        lines += ["", "Some hosts are still in use. Run the same command again to continue."]
    return "\n".join(lines)
