"""Check that tables line up, and that no cell can look like something else."""

from __future__ import annotations

from typing import Any

from controllers.cli.tables import WIDEST, table


def test_columns_line_up() -> None:
    rows: list[dict[str, Any]] = [{"a": "x", "b": 1}, {"a": "longer", "b": None}, {"a": "", "b": {"k": 2}}]
    assert table(rows, {"a": "NAME", "b": "COUNT"}) == ["NAME     COUNT", "x        1", "longer", "         k: 2"]


def test_what_others_wrote_controls_no_terminal_and_fits() -> None:
    [_, line] = table([{"a": "\x1b[31mred\nline" + "x" * 500}], {"a": "A"})
    assert "\x1b" not in line
    assert len(line) <= WIDEST + 1
