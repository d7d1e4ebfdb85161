"""Follow the guides command by command: every command of a page has to work, in this order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.running import ROOT
from tests.pages import commands, follow

CLUSTER = ".cluster"


@pytest.mark.parametrize("page", ["tenant.md", "capm3.md", "operating.md", "adopting.md", "gateway.md"])
def test_the_guide_works_as_it_is_written(page: str, tmp_path: Path) -> None:
    script = commands((ROOT / "docs" / page).read_text())
    assert script[0].startswith(f"hack/cluster up {CLUSTER}")
    assert script[-1] == f"hack/cluster down {CLUSTER}"
    for name in ("hack", "docs", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    tools = subprocess.run([ROOT / "hack/tools/build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    environment = {**os.environ, "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("KUBECONFIG", None)
    try:
        follow(script, tmp_path, environment, seconds=600)
    finally:
        subprocess.run([sys.executable, str(ROOT / "hack/cluster"), "down", str(tmp_path / CLUSTER)], check=True, timeout=120)
