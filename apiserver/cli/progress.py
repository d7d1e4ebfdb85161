"""Show the progress of a long command: lines, and a progress bar on a terminal.

With `-o json`, stdout gets the result alone, and the lines go to stderr."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from apiserver.client.text import printable


class Reporter:
    """Prints lines above the bar. Both may quote text of users and other servers."""

    def __init__(self, console: Console, bar: Progress, task: TaskID) -> None:
        self._console, self._bar, self._task = console, bar, task
        self.has_bar = console.is_terminal

    def say(self, line: str) -> None:
        """Print a line at once."""
        self._console.print(Text(printable(line)), soft_wrap=True)

    def advance(self, done: int, total: int, what: str | None = None) -> None:
        """Show that `done` of `total` units are done. `what` replaces the name of the bar."""
        self._bar.update(self._task, completed=done, total=total, description=what and printable(what))


@contextmanager
def reporting(what: str, console: Console) -> Iterator[Reporter]:
    """Yield a Reporter. Only a terminal shows the bar, until the block ends."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Reporter(console, bar, bar.add_task(what, total=None))


def console(arguments: argparse.Namespace, *, stderr: bool = False) -> Console:
    """Return the console for lines: stdout, or stderr if `stderr` or if JSON takes stdout."""
    return Console(stderr=stderr or arguments.output == "json", highlight=False)


def add_output(parser: argparse.ArgumentParser, form: str = "text", *others: str) -> None:
    """Add the flag that chooses between the form for people, JSON and other forms."""
    choices = (form, "json", *others)
    parser.add_argument("--output", "-o", choices=choices, default=form, help="how to print the result (default: %(default)s)")


def as_json(value: Any) -> str:
    """Return the value as indented JSON. Paths are strings."""
    return json.dumps(value, indent=2, default=_plain)


def print_json(arguments: argparse.Namespace, result: Any) -> None:
    """Print the result if the output is JSON."""
    if arguments.output == "json":
        print(as_json(result))


def _plain(value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
