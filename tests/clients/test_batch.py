"""Run a batch of machines with kubectl and kube-controller-manager's garbage collector, as `make
demo-batch` shows it."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.running import ROOT

SECONDS = 600


def test_the_story_is_true() -> None:
    done = subprocess.run([sys.executable, ROOT / "hack" / "demo-batch"], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed." in done.stdout
