"""What was measured, as a table in Markdown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BEGIN", "END", "Figure", "Ratio", "put_into", "table"]

BEGIN, END = "<!-- made by make bench: begin -->", "<!-- made by make bench: end -->"
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Ratio:
    """kube-apiserver's cost divided by ours, and the one asked for."""

    value: float
    goal: float

    def __str__(self) -> str:
        return f"{self.value:.3g} (≥ {self.goal:g})"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row: CPU seconds of a request, or of an event and the watch that gets it. `goal`: the
    ratios asked for (direct, aggregated). `note`: what is to be said of it below the table."""

    name: str
    oracle: float
    direct: float
    aggregated: float
    goal: tuple[float, float]
    note: str = ""

    @property
    def ratios(self) -> tuple[Ratio, Ratio]:
        """Direct, and through the aggregator."""
        return Ratio(self.oracle / max(self.direct, TINY), self.goal[0]), Ratio(self.oracle / max(self.aggregated, TINY), self.goal[1])


def table(figures: list[Figure]) -> list[str]:
    """The lines of the table."""
    lines = ["| work | kube-apiserver | direct | ratio (goal) | aggregated | ratio (goal) |", "|---|---|---|---|---|---|"]
    for one in figures:
        direct, aggregated = one.ratios
        lines.append(f"| {one.name} | {_time(one.oracle)} | {_time(one.direct)} | {direct} | {_time(one.aggregated)} | {aggregated} |")
    notes = [f"- {one.name}: {one.note}." for one in figures if one.note]
    return [*lines, "", *notes] if notes else lines


def put_into(text: str, lines: list[str]) -> str:
    """The text with these lines between the marks BEGIN and END, which it has. Raises ValueError
    when it has not."""
    before, first, rest = text.partition(BEGIN)
    _, last, after = rest.partition(END)
    if not first or not last:
        raise ValueError(f"the document has no place for the table: add the lines {BEGIN} and {END}")
    return "\n".join([before + BEGIN, "", *lines, "", END + after])


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-4 else f"{seconds * 1e3:.2f} ms"
