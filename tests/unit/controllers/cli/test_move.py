"""Check what `metal3-workloads move` says when it cannot start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from apiserver.cli.main import main
from tests.unit.controllers.fakeapi import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path


def test_a_kubeconfig_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    assert main(["move", "--kubeconfig", missing, "--to", missing, "--namespace", "a"]) == 1
    assert f"there is no kubeconfig at {missing}" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:9")))
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert main(["move", "--to", str(config), "-n", "a"]) == 1
    assert "Run the same command again" in capsys.readouterr().err


def test_the_namespace_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["move", "--to", "x"])
    assert "--namespace" in capsys.readouterr().err
