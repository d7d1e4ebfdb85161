"""Runs the benchmarks and prints the table. `python -m tests.bench [--objects N] [--watchers N] [--out FILE --images DIR] [--only TEXT]`.

Starts its own control planes (hack/cluster, the API servers alone) and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.bench import clusters
from tests.bench.measure import measure
from tests.bench.report import put_into, table
from tests.integration.running import start, stop


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000, help="how many objects are listed (default 10000)")
    parser.add_argument("--watchers", type=int, default=1_000, help="how many watches get each event (default 1000)")
    parser.add_argument("--seconds", type=float, default=5, help="for how long there are events (default 5)")
    parser.add_argument("--only", default="", help="only the rows whose names contain this")
    parser.add_argument("--out", type=Path, help="put the table into this document")
    parser.add_argument("--images", type=Path, help="write plots to this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        running = start(Path(folder) / "cluster", *clusters.OPTIONS)
        try:
            figures = asyncio.run(
                measure(
                    running, Path(folder), objects=options.objects, watchers=options.watchers, seconds=options.seconds, only=options.only
                )
            )
        finally:
            stop(running.root)
    lines = [f"{options.objects:,} objects, {options.watchers:,} watches.", "", *table(figures)]
    print("\n".join(lines))
    if options.out:
        options.out.write_text(put_into(options.out.read_text(), ["", *lines, ""]))


if __name__ == "__main__":
    main()
