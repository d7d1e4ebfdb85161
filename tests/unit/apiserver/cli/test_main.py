"""Check that the help of every command can be read and copied from."""

from __future__ import annotations

import argparse

import pytest

from apiserver.cli.main import COMMANDS, main, parser


def arguments_of(command: str) -> list[argparse.Action]:
    [commands] = [action for action in parser(command)._actions if isinstance(action, argparse._SubParsersAction)]
    actions: list[argparse.Action] = commands.choices[command]._actions
    return actions


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", ["60", "80"])
def test_no_word_of_the_help_is_broken(
    command: str, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    printed = set(capsys.readouterr().out.split())
    for action in arguments_of(command):
        for word in (action.help or "").split():
            assert word in printed or "%" in word, f"{word} of {action.option_strings}"


SERVERS = {"dev", "serve", "controllers", "simulate-bmo"}
STORAGES = {"backup", "restore", "migrate"}
LASTING = {"recover", "adopt", "move", "drain"}


@pytest.mark.parametrize("command", sorted({*COMMANDS} - SERVERS - {"completion"}))
def test_commands_have_the_same_flags(command: str) -> None:
    flags = {flag: action for action in arguments_of(command) for flag in action.option_strings}
    assert flags["-o"] is flags["--output"]
    assert "json" in (flags["-o"].choices or ())
    assert {"--kubeconfig", "--context"} & {*flags} == (set() if command in STORAGES else {"--kubeconfig", "--context"})
    assert {"--dry-run", "--timeout"} & {*flags} == ({"--dry-run", "--timeout"} if command in LASTING else set())
    assert ("-n" in flags) == ("--namespace" in flags)
    for flag in {"--namespace", "--class"} & {*flags}:
        assert getattr(flags[flag], "completer", None), f"{flag} is completed"
