"""Check that a real bash completes commands and options, and that each shell's script is complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apiserver.cli.main import main

PROGRAM = Path(sys.executable).with_name("metal3-workloads")
TYPE = """
source <("$0" completion bash)
COMP_LINE="$1" COMP_POINT=${#1} COMP_WORDS=($1) COMP_TYPE=9
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete "$0"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("metal3-workloads unco", ["uncordon"]),
        ("metal3-workloads --log-level debug drain --time", ["--timeout"]),
        ("metal3-workloads completion ", ["bash", "fish", "zsh"]),
    ],
)
def test_bash_completes(line: str, offered: list[str]) -> None:
    done = subprocess.run(["bash", "-c", TYPE, PROGRAM, line], capture_output=True, text=True, check=True, timeout=60)
    assert sorted(done.stdout.split()) == offered


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["dr"], ["drain\ttake hosts out of service, and wait until none is claimed", ":4"]),
        (["drain", "--ti"], ["--timeout\tseconds to wait for all hosts together (default: 300)", ":4"]),
        (["drain", "--output", ""], [f"{form}\thow to print the result (default: table)" for form in ("table", "json")] + [":4"]),
        (["backup", "--storage", ""], [":0"]),
        (["drain", "'"], [":0"]),
    ],
)
def test_kubectl_gets_completions_with_descriptions_and_whether_files_may_follow(words: list[str], answer: list[str]) -> None:
    done = subprocess.run([PROGRAM.with_name("kubectl_complete-metal3"), *words], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == answer


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete "), ("zsh", "compdef "), ("fish", "complete --command metal3-workloads")])
def test_each_shells_script_registers_the_program(shell: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert word in printed
    assert "metal3-workloads" in printed
    assert "kubectl-metal3" in printed
