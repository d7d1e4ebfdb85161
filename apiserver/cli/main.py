"""Run the command line.

Each command is a module with `configure(parser)`. It is found by its entry point, and imported only
when the command is run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, entry_points, version
from textwrap import fill, wrap
from types import ModuleType

from apiserver.apis.build import Build
from apiserver.cli.logs import FORMATS, LEVELS, MOST, log_to
from apiserver.client.text import printable

COMMANDS = {
    "dev": "run everything in one process, no cluster needed",
    "serve": "serve the API beside a management cluster",
    "controllers": "run the controllers of a management cluster",
    "simulate-bmo": "act as a Baremetal Operator without hardware",
    "backup": "copy a SQLite database while its server runs",
    "restore": "put a backup in a SQLite database's place",
    "recover": "give hosts back to their Workloads after the store was lost",
    "adopt": "give tenants hosts that plain Metal3 or CAPM3 runs today, while they run on, or take them back",
    "fleet": "show the capacity of each class, and which tenants have which hosts",
    "why": "explain what a Workload waits for, and what would free it",
    "history": "list the last claims of a host",
    "usage": "report for how long which namespaces had hosts, as a table, CSV or JSON",
    "cordon": "let no Workload get a host any more",
    "uncordon": "offer a host again",
    "drain": "take hosts out of service, and wait until none is claimed",
    "completion": "print a script that lets bash, zsh or fish complete commands and names",
    "migrate": "copy everything to another storage: SQLite to etcd, or back",
    "move": "move Workloads to another management cluster, or back, while their machines run on",
}
"""Each command with its line in the help."""

ENTRY_POINTS = "metal3_workloads.commands"


class HelpFormatter(argparse.HelpFormatter):
    """Wraps lines at white space only, so that a URL, a path or the name of an option can be
    copied."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width, break_long_words=False, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return fill(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line.

    Only `command` gets its arguments, because the imports of all commands take two seconds."""
    made = argparse.ArgumentParser(
        prog="metal3-workloads",
        description="Run operating systems and clusters on bare metal that another party owns.",
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    _add_log_flags(made, level="info", form="text")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, line in COMMANDS.items():
        added = commands.add_parser(name, help=line, formatter_class=HelpFormatter)
        if name == command:
            _load(name).configure(added)
            _add_log_flags(added, level=argparse.SUPPRESS, form=argparse.SUPPRESS)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    The status is 0 if it was stopped or done, 1 if something failed, and 2 for a wrong command
    line."""
    if "_ARGCOMPLETE" in os.environ:
        _load("completion").answer(parser, COMMANDS)
    given = sys.argv[1:] if argv is None else list(argv)
    # No value of an option before the command equals a command's name.
    arguments = parser(next((word for word in given if word in COMMANDS), None)).parse_args(given)
    from apiserver.cli.running import UsageError  # --version and --help end above, without asyncio

    log_to(arguments.log_level, arguments.log_format)
    try:
        status: int = arguments.run(arguments)
    except UsageError as error:
        print(f"metal3-workloads {arguments.command}: {printable(str(error), MOST)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def complete_for_kubectl() -> int:
    """Run as kubectl_complete-metal3: let kubectl complete `kubectl metal3 WORDS`."""
    print(_load("completion").for_kubectl(parser, COMMANDS, sys.argv[1:]))
    return 0


def _add_log_flags(to: argparse.ArgumentParser, *, level: str, form: str) -> None:
    """Add the flags of the log, which may be given before or after the command."""
    to.add_argument("--log-level", default=level, choices=LEVELS, help="the lowest level that is logged (default: info)")
    to.add_argument("--log-format", default=form, choices=FORMATS, help="the form of the log's lines, times in UTC (default: text)")


def _load(command: str) -> ModuleType:
    (point,) = entry_points(group=ENTRY_POINTS, name=command)
    module: ModuleType = point.load()
    return module


def _version() -> str:
    try:
        return f"{version('metal3-workloads')} ({Build.stamped()})"
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
