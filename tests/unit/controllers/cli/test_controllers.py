"""Check what `metal3-workloads controllers` says when it cannot start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from apiserver.cli.main import main
from tests.unit.controllers.fakeapi import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_server_is_never_asked_in_the_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(kubeconfig("https://127.0.0.1:9")))
    assert main(["controllers", "--kubeconfig", str(config), "--apiserver", "http://127.0.0.1:9"]) == 1
    assert "has to begin with https://" in capsys.readouterr().err


def test_a_kubeconfig_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    assert main(["controllers", "--kubeconfig", missing, "--apiserver", "https://127.0.0.1:9"]) == 1
    assert f"there is no kubeconfig at {missing}" in capsys.readouterr().err
