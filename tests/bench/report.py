"""Render the measurements as a Markdown table."""

from __future__ import annotations

from dataclasses import dataclass

BEGIN, END = "<!-- made by make bench: begin -->", "<!-- made by make bench: end -->"
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Ratio:
    """kube-apiserver's cost divided by ours, and the required ratio."""

    value: float
    goal: float

    def __str__(self) -> str:
        return f"{self.value:.3g} (≥ {self.goal:g})"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row: the CPU seconds of a request, or of an event and a watch that receives it.

    `goal`: the required ratios (direct, through the aggregator). `note`: a remark below the
    table."""

    name: str
    oracle: float
    direct: float
    aggregated: float
    goal: tuple[float, float]
    note: str = ""

    @property
    def ratios(self) -> tuple[Ratio, Ratio]:
        """Return the ratios, direct and through the aggregator."""
        return Ratio(self.oracle / max(self.direct, TINY), self.goal[0]), Ratio(self.oracle / max(self.aggregated, TINY), self.goal[1])


def table(figures: list[Figure]) -> list[str]:
    """Return the lines of the table."""
    lines = ["| work | kube-apiserver | direct | ratio (goal) | aggregated | ratio (goal) |", "|---|---|---|---|---|---|"]
    for one in figures:
        direct, aggregated = one.ratios
        lines.append(f"| {one.name} | {_time(one.oracle)} | {_time(one.direct)} | {direct} | {_time(one.aggregated)} | {aggregated} |")
    notes = [f"- {one.name}: {one.note}." for one in figures if one.note]
    return [*lines, "", *notes] if notes else lines


def put_into(text: str, lines: list[str]) -> str:
    """Return the text with these lines between the marks BEGIN and END. Raises ValueError if it has
    no marks."""
    before, first, rest = text.partition(BEGIN)
    _, last, after = rest.partition(END)
    if not first or not last:
        raise ValueError(f"the document has no place for the table: add the lines {BEGIN} and {END}")
    return "\n".join([before + BEGIN, "", *lines, "", END + after])


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-4 else f"{seconds * 1e3:.2f} ms"
