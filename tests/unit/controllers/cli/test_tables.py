"""Check that tables line up, and that no cell can look like something else."""

from __future__ import annotations

from typing import Any

from controllers.cli.tables import WIDEST, Screen, table


def test_columns_line_up() -> None:
    rows: list[dict[str, Any]] = [{"a": "x", "b": 1}, {"a": "longer", "b": None}, {"a": "", "b": {"k": 2}}]
    assert table(rows, {"a": "NAME", "b": "COUNT"}) == ["NAME     COUNT", "x        1", "longer", "         k: 2"]


def test_what_others_wrote_controls_no_terminal_and_fits() -> None:
    [_, line] = table([{"a": "\x1b[31mred\nline" + "x" * 500}], {"a": "A"})
    assert "\x1b" not in line
    assert len(line) <= WIDEST + 1


def test_a_terminal_gets_folded_cells_and_colours_and_a_pipe_gets_neither() -> None:
    rows: list[dict[str, Any]] = [{"state": "HostError", "message": "word " * 15}]
    columns = {"state": "STATE", "message": "MESSAGE"}
    narrow = table(rows, columns, Screen(width=40))
    assert len(narrow) > 2
    assert all(len(line) <= 40 for line in narrow)
    assert "\x1b[31mHostError" in "".join(table(rows, columns, Screen(width=40, styled=True)))
    assert len(table(rows, columns)) == 2


def test_several_states_fold_between_two_of_them() -> None:
    rows: list[dict[str, Any]] = [{"state": "Bound,SchedulingDisabled", "message": "word " * 15}]
    folded = table(rows, {"state": "STATE", "message": "MESSAGE"}, Screen(width=40))
    assert folded[1].startswith("Bound, ")
    assert folded[2].startswith("SchedulingDisabled ")
    assert table(rows, {"state": "STATE"})[1] == "Bound,SchedulingDisabled"


def test_markup_of_others_is_text() -> None:
    assert table([{"a": "[red]x[/red] :smile:"}], {"a": "A"}, Screen(width=40, styled=True))[1].startswith("[red]x[/red] :smile:")
