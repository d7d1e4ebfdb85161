"""Print rows as a table, a tree or JSON: folded and coloured on a terminal, plain elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from apiserver.client.text import printable

WIDEST = 100
"""The most characters of a cell."""
UNFOLDED = 10_000
"""The width of output for programs: no line is folded."""
GOOD = ("Available", "Drained", "Released")
STYLES = {"Bound": "cyan", "Held": "yellow", "Releasing": "cyan", "SchedulingDisabled": "yellow"}
"""The styles of states. States in GOOD are green, and states in neither are red."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Describe the output: its width in characters, and whether it shows colours."""

    width: int = UNFOLDED
    styled: bool = False


PLAIN = Screen()


def screen() -> Screen:
    """Return the Screen of stdout: PLAIN if stdout is no terminal, and without colours if NO_COLOR
    is set."""
    if not sys.stdout.isatty():
        return PLAIN
    return Screen(Console().width, styled=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str], on: Screen = PLAIN) -> list[str]:
    """Return the lines of a table. `columns` maps keys of the rows to headings.

    Cells may quote text of other users, so characters that control a terminal are replaced."""
    made = Table(box=None, pad_edge=False, padding=(0, 3 if on == PLAIN else 2, 0, 0), header_style="bold")
    for key, name in columns.items():
        made.add_column(name, overflow="fold", min_width=_longest_state(rows) if key == "state" and on != PLAIN else None)
    for row in rows:
        made.add_row(*(Text(_folded(key, row, on), style=_style(row.get(key)) if key == "state" else "") for key in columns))
    return rendered(made, on)


def fitted(rows: Sequence[dict[str, Any]], columns: dict[str, str], on: Screen, lines: int) -> list[str]:
    """Return the lines of a table of which a terminal shows at most `lines`, and how many rows are
    left out."""
    if on == PLAIN:
        return table(rows, columns)
    count = min(len(rows), lines)
    while len(made := table(rows[:count], columns, on)) > lines and count > 1:
        count -= 1
    return made if count == len(rows) else [*made, more(len(rows) - count)]


def more(count: int) -> str:
    """Return the line that stands for rows that are left out."""
    return f"... and {count} more: -o json has all"


def tree(title: str, branches: Iterable[tuple[str, Sequence[str]]], on: Screen = PLAIN) -> list[str]:
    """Return the lines of a tree with two levels. Each branch has a text and leaves."""
    made = Tree(Text(printable(title, WIDEST), style="bold"))
    for text, leaves in branches:
        branch = made.add(Text(printable(text, WIDEST)))
        for leaf in leaves:
            branch.add(Text(printable(leaf, WIDEST), style="dim"))
    return rendered(made, on)


def folded(text: str, on: Screen) -> list[str]:
    """Return text that other users may have written, as printable lines that fit the screen."""
    return rendered(Text(printable(text)), on)


def rendered(what: RenderableType, on: Screen) -> list[str]:
    """Return the lines of something that rich can print."""
    out = StringIO()
    console = Console(file=out, width=on.width, force_terminal=on.styled, color_system="standard" if on.styled else None, highlight=False)
    console.print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def _longest_state(rows: Sequence[dict[str, Any]]) -> int:
    """Return the width that a column of states needs, so that none is cut unless it is very long."""
    return min(len("SchedulingDisabled"), max((len(word) for row in rows for word in str(row.get("state")).split(",")), default=0))


def _folded(key: str, row: dict[str, Any], on: Screen) -> str:
    """Return the text of a cell. Several states fold between two of them on a terminal."""
    text = _cell(row.get(key))
    return text.replace(",", ", ") if key == "state" and on != PLAIN else text


def _style(state: Any) -> str:
    words = str(state).split(",")
    return "green" if all(word in GOOD for word in words) else next((STYLES[word] for word in words if word in STYLES), "red")


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key}: {count}" for key, count in value.items())
    return printable("" if value is None else str(value), WIDEST)
