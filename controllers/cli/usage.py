"""Implement `metal3-workloads usage`: report which namespaces had hosts, and for how long."""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from apiserver.cli.progress import add_output, as_json
from apiserver.cli.running import UsageError
from apiserver.client.clock import timestamp
from apiserver.client.objects import Object
from apiserver.client.text import printable
from controllers import kinds
from controllers.cli.resumable import add_cluster, client_of, run_resumable
from controllers.cli.tables import PLAIN, Screen, screen, table
from controllers.usage import Report, report

_COLUMNS = {"namespace": "TENANT", "namespaceUID": "UID", "className": "CLASS", "size": "SIZE", "hosts": "HOSTS"}
_COLUMNS |= {"allocatedSeconds": "ALLOCATED SECONDS", "poweredOnSeconds": "POWERED-ON SECONDS"}
_FORMULA = "=+-@＝＋－＠"
"""The characters that begin a formula in a spreadsheet. Some programs accept the full-width forms,
too."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
ESTIMATED = (
    "the period begins or ends within a day or a month of which only the sum is known still, so its share is estimated; "
    "periods of whole months in UTC are exact"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Reports for how many seconds the namespaces had hosts, and how many of these the hosts were powered on, by class and size. A "
        "host belongs to a namespace from its binding until other namespaces can have it. The period includes its first second, and "
        "not its last. Times are dates (midnight in UTC) or RFC 3339."
    )
    parser.add_argument("--from", dest="begin", type=moment, metavar="TIME", help="the begin (default: of the month of the end)")
    parser.add_argument("--to", dest="end", type=moment, metavar="TIME", help="the end (default: now, which is also the latest)")
    add_cluster(parser)
    add_output(parser, "table", "csv")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Raises UsageError."""
    now = int(time.time())
    begin, end = period(arguments.begin, arguments.end, now)

    async def read() -> list[Object]:
        async with client_of(arguments, "metal3-workloads-usage") as client:
            return (await client.list_all(kinds.USAGE))[0]

    if (records := run_resumable(read)) is None:
        return 1
    made = report(records, begin, end, now)
    print(as_json(content(made)) if arguments.output == "json" else as_csv(made) if arguments.output == "csv" else shown(made, screen()))
    if made.estimated:
        print(f"metal3-workloads usage: {ESTIMATED}", file=sys.stderr)
    return 0


def moment(text: str) -> int:
    """Return the seconds since the epoch of a date or a time in RFC 3339: the type of a flag.

    Raises argparse.ArgumentTypeError."""
    try:
        if _DATE.fullmatch(text):
            text = f"{text}T00:00:00Z"
        found = int(datetime.fromisoformat(text.upper()).timestamp()) if _TIME.fullmatch(text) else -1
    except ValueError:
        found = -1
    if found < 0:
        why = "give a date, such as 2026-11-01, or a time with its zone and in whole seconds, such as 2026-11-01T08:00:00Z, since 1970"
        raise argparse.ArgumentTypeError(f"{printable(text, 64)}: {why}")
    return found


def period(begin: int | None, end: int | None, now: int) -> tuple[int, int]:
    """Return the begin and the end of the report, in seconds since the epoch. Raises UsageError."""
    if begin is None:
        latest = datetime.fromtimestamp(now if end is None else max(0, min(now, end - 1)), UTC)
        begin = int(latest.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())
    if begin > now:
        raise UsageError("--from is in the future: nothing is known of it yet, begin earlier")
    if end is not None and begin > end:
        raise UsageError("--from is after --to: exchange them")
    return begin, now if end is None else min(end, now)


def content(made: Report) -> dict[str, Any]:
    """Return the report as it is printed in JSON."""
    times = {"from": timestamp(made.begin), "to": timestamp(made.end)}
    return {**times, "rows": made.rows(), "total": made.total(), "estimated": made.estimated}


def as_csv(made: Report) -> str:
    """Return the report as CSV: a line with the names of the columns, and one for each row.

    Texts that a spreadsheet would take for a formula begin with an apostrophe."""
    out, times = StringIO(), {"from": timestamp(made.begin), "to": timestamp(made.end)}
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*times, *_COLUMNS])
    for row in made.rows():
        writer.writerow([_harmless(value) for value in {**times, **row}.values()])
    return out.getvalue().rstrip("\n")


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.strip().startswith(tuple(_FORMULA)) else text


def shown(made: Report, on: Screen = PLAIN) -> str:
    """Return a table whose last row has the sums. It shows uids if two namespaces had the same
    name."""
    rows = [*made.rows(), {"namespace": "(all)", **made.total()}]
    columns = {key: name for key, name in _COLUMNS.items() if key != "namespaceUID" or _has_namesakes(made)}
    return "\n".join([f"from {timestamp(made.begin)} to {timestamp(made.end)}", *table(rows, columns, on)])


def _has_namesakes(made: Report) -> bool:
    names = Counter(name for name, _ in {key[:2] for key in made.uses})
    return any(count > 1 for count in names.values())
