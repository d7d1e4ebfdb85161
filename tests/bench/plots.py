"""Draw the table: the ratios of each row, and marks for the goals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.report import Figure

COLORS = {"direct": "#1f77b4", "through the aggregator": "#7fb2d9"}
HEIGHT = 0.38
ROW_INCHES = 0.55
# The same figures give the same file, so it changes only when they do.
REPRODUCIBLE: Any = {"svg.hashsalt": "bench", "svg.fonttype": "none"}


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Write an SVG."""
    with mpl.rc_context(REPRODUCIBLE):
        canvas = Canvas(figsize=(9, 1.2 + ROW_INCHES * len(figures)), layout="constrained")
        axes = canvas.subplots()
        for index, (label, color) in enumerate(COLORS.items()):
            ratios = [figure.ratios[index] for figure in figures]
            places = [row + (index - 0.5) * HEIGHT for row in range(len(figures))]
            bars = axes.barh(places, [ratio.value for ratio in ratios], HEIGHT, color=color, label=label)
            axes.bar_label(bars, [f" {ratio.value:.3g}" for ratio in ratios], fontsize=8)
            goals = [ratio.goal for ratio in ratios]
            axes.plot(goals, places, "|", color="black", markersize=12, label="goal" if index == 0 else None)
        axes.set_yticks(range(len(figures)), [figure.name for figure in figures])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.axvline(1, color="gray", linewidth=0.8)
        axes.set_xlabel("kube-apiserver's CPU divided by ours (logarithmic; more is better)")
        axes.legend(loc="lower right")
        canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
