"""Check what commands print that may be run again."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING

import pytest
import yaml

from apiserver.cli.main import main
from apiserver.cli.running import UsageError
from apiserver.client.errors import ApiException
from controllers.cli.resumable import print_result, run_resumable
from controllers.recovery import Summary
from controllers.resumable import Blocked
from tests.unit.controllers.fakeapi import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("output", "printed"), [("text", "1 recovered\n"), ("json", '{"recovered": ["a/w"], "waiting": [], "failed": []}')]
)
def test_the_result_is_a_line_or_json(output: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(Summary(["a/w"]), Namespace(output=output), "1 recovered")
    out = capsys.readouterr().out
    assert out == printed if output == "text" else json.loads(out) == json.loads(printed)


def test_what_blocks_the_command_is_its_error() -> None:
    async def blocked() -> None:
        raise Blocked("create it first")

    with pytest.raises(UsageError, match="create it first"):
        run_resumable(blocked)


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "use another one"), (403, "use another one"), (409, "Run the same"), (503, "Run the same")]
)
def test_what_the_cluster_refuses_to_the_user_needs_another_user(status: int, advice: str) -> None:
    async def refused() -> None:
        raise ApiException(status, "Some", "words of the server")

    with pytest.raises(UsageError, match=f"words of the server. .*{advice}"):
        run_resumable(refused)


@pytest.mark.parametrize("command", [["recover"], ["move", "--namespace", "a"], ["adopt", "--namespace", "a"]])
def test_a_cluster_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:9")))
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert main([*command, *(["--to", str(config)] if command[0] == "move" else [])]) == 1
    assert "Run the same command again to continue" in capsys.readouterr().err


def test_a_kubeconfig_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    assert main(["recover", "--kubeconfig", missing]) == 1
    assert f"there is no kubeconfig at {missing}" in capsys.readouterr().err
