"""Run the benchmarks and print the table: `python -m tests.bench [--objects N] [--watchers N]
[--out FILE] [--plot FILE]`.

It starts its own control planes (hack/cluster, the API servers alone) and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import clusters
from tests.bench.latency import CLIENTS, latency
from tests.bench.measure import measure
from tests.bench.plots import draw
from tests.bench.report import put_into, table
from tests.integration.running import start, stop

if TYPE_CHECKING:
    from tests.bench.report import Figure


def main() -> None:
    """Run the command."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = _compared(Path(folder), options)
        lines = [f"CPU per request; {options.objects:,} objects, {options.watchers:,} watches.", "", *table(figures)]
        if options.many:
            (Path(folder) / "many").mkdir()
            found = asyncio.run(latency(Path(folder) / "many", options.many, options.seconds))
            lines += ["", f"A GET by one of {CLIENTS} clients at once, while another client lists {options.many:,} objects repeatedly:", ""]
            lines += [f"- {name}: {one}" for name, one in found.items()]
    print("\n".join(lines))
    if options.out:
        options.out.write_text(put_into(options.out.read_text(), lines))
    if options.plot:
        draw(figures, options.plot)


def _compared(folder: Path, options: argparse.Namespace) -> list[Figure]:
    running = start(folder / "cluster", *clusters.OPTIONS)
    try:
        return asyncio.run(
            measure(running, folder, objects=options.objects, watchers=options.watchers, seconds=options.seconds, only=options.only)
        )
    finally:
        stop(running.root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000, help="how many objects are listed (default 10000)")
    parser.add_argument("--watchers", type=int, default=1_000, help="how many watches get each event (default 1000)")
    parser.add_argument("--seconds", type=float, default=5, help="for how long there are events (default 5)")
    parser.add_argument(
        "--many", type=int, default=100_000, help="how many objects are listed beside GETs (default 100000; 0: not measured)"
    )
    parser.add_argument("--only", default="", help="only the rows whose names contain this")
    parser.add_argument("--out", type=Path, help="put the table into this document")
    parser.add_argument("--plot", type=Path, help="draw it to this file (SVG)")
    return parser


if __name__ == "__main__":
    main()
