"""The command line: the one place where all parts are put together. One file per command; each registers itself here."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from apiserver.cli import backup, controllers, dev, migrate, move, restore, serve, simulate_bmo
from apiserver.cli.running import UsageError, log_to_stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = (dev, serve, controllers, simulate_bmo, backup, restore, migrate, move)


def parser() -> argparse.ArgumentParser:
    """The whole command line's parser."""
    made = argparse.ArgumentParser(
        prog="metal3-workloads",
        description="Run operating systems and clusters on bare metal that belongs to somebody else.",
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    made.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error"), help="the least that is logged (default: info)"
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.register(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0 when it was told to stop, 1 when something does not work, 2 for a wrong command line."""
    arguments = parser().parse_args(argv)
    log_to_stderr(arguments.log_level)
    try:
        status: int = arguments.run(arguments)
    except UsageError as error:
        print(f"metal3-workloads {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _version() -> str:
    try:
        return version("metal3-workloads")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
