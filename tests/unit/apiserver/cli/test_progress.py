"""Check what a long command shows: lines in a pipe, and a bar on a terminal."""

from __future__ import annotations

from argparse import Namespace
from io import StringIO

import pytest
from rich.console import Console

from apiserver.cli.progress import console, reporting


def shown(*, terminal: bool) -> str:
    out = StringIO()
    with reporting("moved", Console(file=out, width=60, force_terminal=terminal, highlight=False)) as reporter:
        reporter.advance(1, 7, "[red]moved\x1b[2J")
        reporter.say("team-a/web\n\x1b[2Jteam-b/x: [bold]would[/bold] get :smile: back" + " and" * 20)
    return out.getvalue()


def test_a_pipe_gets_each_line_as_one_that_is_harmless_for_a_terminal_and_no_bar() -> None:
    assert shown(terminal=False) == "team-a/web  [2Jteam-b/x: [bold]would[/bold] get :smile: back" + " and" * 20 + "\n"


def test_a_terminal_gets_a_bar_as_well() -> None:
    printed = shown(terminal=True)
    assert "1/7" in printed
    assert "[red]moved [2J" in printed
    assert "\x1b[2J" not in printed


@pytest.mark.parametrize(("output", "stderr", "expected"), [("text", False, False), ("text", True, True), ("json", False, True)])
def test_json_has_stdout_alone(output: str, *, stderr: bool, expected: bool) -> None:
    assert console(Namespace(output=output), stderr=stderr).stderr is expected
