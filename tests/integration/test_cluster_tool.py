"""Check that `hack/cluster` reports failures and cleans up after them, and ends what runs by
pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hack.realcluster.processes import Process, Processes
from tests.integration.running import ROOT, eventually

COMMAND = [sys.executable, str(ROOT / "hack" / "cluster")]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=180, env={**os.environ, **environment}, cwd="/"
    )


def running(folder: Path) -> list[Process]:
    return [process for process in Processes(folder).recorded() if process.running()]


def test_two_bare_clusters_come_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    try:
        up = run("up", str(folder), "--server", "off", "--hosts", "2", "--tenants", "x")
        assert up.returncode == 0, up.stderr
        description = json.loads((folder / "cluster.json").read_text())
        assert set(description) == {"management", "hardware", "etcd", "apiserver", "controllers", "gateway", "simulatedBmo", "tenants"}
        pids = {description["management"]["pid"], description["hardware"]["pid"], *description["etcd"]["pids"]}
        assert pids <= {process.pid for process in running(folder)}
        again = run("up", str(folder))
        assert again.returncode == 1
        assert "not empty" in again.stderr
    finally:
        down = run("down", str(folder))
    assert (down.returncode, down.stderr) == (0, "")
    assert running(folder) == []
    assert run("down", str(folder)).returncode == 0


def test_a_failure_shows_the_log_and_leaves_nothing_running(tmp_path: Path) -> None:
    tools = subprocess.run([ROOT / "hack/tools/build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    assets = tmp_path / "assets"
    assets.mkdir()
    for tool in ("etcd", "kube-controller-manager", "kubectl"):
        (assets / tool).symlink_to(Path(tools) / tool)
    (assets / "kube-apiserver").write_text("#!/bin/sh\necho 'error: the flux capacitor is missing' >&2\nexit 3\n")
    (assets / "kube-apiserver").chmod(0o755)
    folder = tmp_path / "failing"
    up = run("up", str(folder), "--server", "off", KUBEBUILDER_ASSETS=str(assets))
    assert up.returncode == 1
    assert "kube-apiserver ended while waiting for readiness" in up.stderr
    assert "the flux capacitor is missing" in up.stderr
    assert "Traceback" not in up.stderr
    assert len(Processes(folder).recorded()) == 3
    assert running(folder) == []
    assert not (folder / "cluster.json").exists()


def test_ending_the_command_ends_what_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "interrupted"
    with subprocess.Popen([*COMMAND, "up", str(folder), "--server", "off"], stderr=subprocess.PIPE, text=True) as up:
        eventually(lambda: len(running(folder)) >= 2, seconds=30, poll=0.02)
        up.send_signal(signal.SIGTERM)
        _, errors = up.communicate(timeout=60)
    assert up.returncode == 130, errors
    assert running(folder) == []


@pytest.mark.parametrize(("option", "value"), [("--tenants", "A_b"), ("--hosts", "-1")])
def test_settings_that_cannot_be_are_reported(tmp_path: Path, option: str, value: str) -> None:
    up = run("up", str(tmp_path / "never"), f"{option}={value}")
    assert up.returncode == 1
    assert value in up.stderr
    assert not (tmp_path / "never").exists()
