"""Implement `metal3-workloads completion`: let a shell complete commands, options and names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import argcomplete
from argcomplete.shell_integration import shellcode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

PROGRAMS = ["metal3-workloads", "kubectl-metal3"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Prints a script that lets a shell complete commands, options, and the names of hosts, Workloads, classes and namespaces of the "
        "cluster. Load it where the shell starts: `source <(metal3-workloads completion bash)` in ~/.bashrc, the same with zsh in ~/.zshrc "
        "behind compinit, and `metal3-workloads completion fish | source` in ~/.config/fish/config.fish."
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(shellcode(PROGRAMS, shell=arguments.shell))
    return 0


def answer(parser: Callable[[str | None], argparse.ArgumentParser], commands: dict[str, str]) -> None:
    """Answer the shell's function, and end the process."""
    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(parser(next((word for word in words if word in commands), None)), always_complete_options=False)
