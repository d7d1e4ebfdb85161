"""Print rows as a table, or as JSON: the same whether a person or a program reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from apiserver.client.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

WIDEST = 100
"""The most characters of a cell."""


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every command about the fleet has."""
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig of the management cluster; $KUBECONFIG or ~/.kube/config by default"
    )
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; its current one by default")
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table", help="how to print (default: table)")


def as_json(value: Any) -> str:
    """Return the value as indented JSON."""
    return json.dumps(value, indent=2)


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> list[str]:
    """Return the lines of a table. `columns` maps keys of the rows to headings.

    Cells may quote what others wrote, so they are made harmless for a terminal."""
    lines = [list(columns.values()), *([_cell(row.get(key)) for key in columns] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key}: {count}" for key, count in value.items())
    return printable("" if value is None else str(value), WIDEST)
