"""Implement `metal3-workloads completion`: let a shell complete commands, options and names."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence
from io import StringIO

import argcomplete
from argcomplete.completers import SuppressCompleter
from argcomplete.shell_integration import shellcode

FILES, NO_FILES = ":0", ":4"
"""The directives of kubectl's completion: the shell may add names of files, or must not."""
PROGRAMS = ["metal3-workloads", "kubectl-metal3"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the description and the arguments of the command."""
    parser.description = (
        "Prints a script that lets a shell complete commands, options, and the names of hosts, Workloads, classes and namespaces of the "
        "cluster. Load it where the shell starts: `source <(metal3-workloads completion bash)` in ~/.bashrc, the same with zsh in ~/.zshrc "
        "after compinit, and `metal3-workloads completion fish | source` in ~/.config/fish/config.fish. kubectl's own completion needs no "
        "script: it asks kubectl_complete-metal3, if that is on the PATH."
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
    argcomplete.autocomplete(_parser(parser, commands, words), always_complete_options=False)


def for_kubectl(parser: Callable[[str | None], argparse.ArgumentParser], commands: dict[str, str], words: Sequence[str]) -> str:
    """Return the answer to `kubectl metal3 WORDS<TAB>`: completions of the last word, and a
    directive.

    kubectl runs kubectl_complete-metal3 with the words. Each line is a completion, a tab and its
    description. The last line is the directive."""
    line = " ".join([PROGRAMS[0], *map(shlex.quote, words[:-1]), words[-1] if words else ""])
    os.environ.update(
        {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_DFS": "\t", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    )
    found = StringIO()
    argcomplete.autocomplete(
        _parser(parser, commands, words),
        always_complete_options=False,
        exit_method=lambda _: None,
        output_stream=found,
        append_space=False,
        default_completer=SuppressCompleter(),
    )
    lines = [line.rstrip("\t") for line in found.getvalue().splitlines()]
    return "\n".join([*lines, NO_FILES if lines else FILES])


def _parser(
    parser: Callable[[str | None], argparse.ArgumentParser], commands: dict[str, str], words: Sequence[str]
) -> argparse.ArgumentParser:
    return parser(next((word for word in words if word in commands), None))
