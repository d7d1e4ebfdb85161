"""Draw the table: the ratios of each row, and marks for the goals.

`python -m tests.bench.plots` draws docs/images/benchmarks.svg again from the table in
docs/benchmarks.md, without measuring.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from tests.bench.report import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = Path(__file__).parents[2] / "docs"
COLORS = {"direct": "#1f77b4", "through the aggregator": "#7fb2d9"}
HEIGHT = 0.38
ROW_INCHES = 0.55
# The same figures give the same file, so it changes only when they do.
REPRODUCIBLE: Any = {"svg.hashsalt": "bench", "svg.fonttype": "none"}
DARK = """@media (prefers-color-scheme: dark) {
  [style*="fill: #ffffff"] { fill: #0d1117 !important }
  [style*="stroke: #000000"] { stroke: #b1bac4 !important }
  text { fill: #e6edf3 !important }
}"""
"""The colours in the reader's dark mode. matplotlib writes styles of elements, which only
`!important` overrides."""


def main() -> None:
    """Draw the picture of the table that is published."""
    draw(published((DOCS / "benchmarks.md").read_text()), DOCS / "images" / "benchmarks.svg")


def published(page: str) -> list[Figure]:
    """Return the figures of the table in a page."""
    time, ratio = r"([\d.]+) (µs|ms)", r"[\d.]+ \(≥ ([\d.]+)\)"
    found = re.findall(rf"^\| (.+?) \| {time} \| {time} \| {ratio} \| {time} \| {ratio} \|$", page, re.MULTILINE)
    unit = {"µs": 1e-6, "ms": 1e-3}
    return [
        Figure(
            name=name,
            oracle=float(oracle) * unit[oracle_unit],
            direct=float(direct) * unit[direct_unit],
            aggregated=float(aggregated) * unit[aggregated_unit],
            goal=(float(goal), float(other)),
        )
        for name, oracle, oracle_unit, direct, direct_unit, goal, aggregated, aggregated_unit, other in found
    ]


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Write an SVG."""
    with mpl.rc_context(REPRODUCIBLE):
        canvas = Canvas(figsize=(9, 1.2 + ROW_INCHES * len(figures)), layout="constrained")
        axes = canvas.subplots()
        for index, (label, color) in enumerate(COLORS.items()):
            ratios = [figure.ratios[index] for figure in figures]
            places = [row + (index - 0.5) * HEIGHT for row in range(len(figures))]
            axes.barh(places, [ratio.value for ratio in ratios], HEIGHT, color=color, label=label)
            goals = [ratio.goal for ratio in ratios]
            axes.plot(goals, places, "|", color="black", markersize=12, label="goal" if index == 0 else None)
            for ratio, place in zip(ratios, places, strict=True):
                axes.text(max(ratio.value, ratio.goal) * 1.15, place, f"{ratio.value:.3g} (goal {ratio.goal:g})", fontsize=8, va="center")
        axes.set_yticks(range(len(figures)), [figure.name for figure in figures])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.22)
        axes.axvline(1, color="gray", linewidth=0.8)
        axes.set_title("How much less CPU a request costs here than in kube-apiserver")
        axes.set_xlabel("kube-apiserver's CPU divided by this server's (logarithmic; right of 1, this server needs less)")
        axes.legend(loc="lower right")
        canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(path.read_text().replace("</style>", f"\n{DARK}</style>", 1))


if __name__ == "__main__":
    main()
