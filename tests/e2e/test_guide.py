"""Follow the tenant's guide in dev mode, which the guide itself proposes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.objects import eventually
from tests.pages import commands, follow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.process import Dev

ROOT = Path(__file__).parents[2]
NOT_IN_DEV = ("hack/cluster", "export KUBECONFIG", "kubectl describe resourcequota")


def free_hosts(dev: Dev, number: int) -> None:
    assert len(dev.user("tenant-a").items("bmh")) == number


def test_a_tenants_first_day(make_dev: Callable[..., Dev], kubectl: Path, tmp_path: Path) -> None:
    dev = make_dev().start()
    eventually(lambda: free_hosts(dev, 4))
    script = [line for line in commands((ROOT / "docs/tenant.md").read_text()) if not line.startswith(NOT_IN_DEV)]
    assert len(script) > 30
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    environment = {**os.environ, "PATH": f"{kubectl.parent}:{os.environ['PATH']}", "KUBECONFIG": str(dev.folder / "tenant-a.kubeconfig")}
    follow(script, tmp_path, environment, seconds=300)
    assert dev.user("tenant-a").items("workloads") == []
