"""Run Cluster API's libraries through the gateway, as `make demo-one-cluster` shows it."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.running import ROOT

SECONDS = 600


def test_the_story_is_true() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "demo-one-cluster"], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed." in done.stdout
