"""Run servers and virtual machines in one Cluster API cluster, as `make demo-hybrid` shows it."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.running import ROOT

SECONDS = 500
TITLE = "Servers and virtual machines in one Cluster API cluster"


def test_the_story_is_so() -> None:
    done = subprocess.run([sys.executable, ROOT / "hack" / "demo-hybrid"], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert TITLE in done.stdout
    assert "All checks passed." in done.stdout
