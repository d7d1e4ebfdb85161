"""Check that the controllers reach the API server directly for its kinds, under their service
account, and verify it by its APIService."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import eventually

if TYPE_CHECKING:
    from tests.integration.running import Running

ESTABLISHED = "01"


def connections(pid: int, port: int) -> int:
    """Return the number of the process's connections to this port of the loopback (proc(5),
    /proc/net/tcp)."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # the descriptor may have been closed since
            sockets.add(os.readlink(descriptor))
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    there = f"0100007F:{port:04X}"
    return sum(line[2] == there and line[3] == ESTABLISHED and f"socket:[{line[9]}]" in sockets for line in lines)


def test_controllers_go_to_the_server_itself(tenants: Running) -> None:
    # Other tests may have restarted the server meanwhile. Watches that moved to kube-apiserver then
    # last for minutes.
    running.restart(tenants, "controllers")
    (pid,) = json.loads((tenants.root / "cluster.json").read_text())["controllers"]["pids"]
    port = urlsplit(tenants.description["apiserver"]["url"]).port
    assert port is not None
    # The controllers' watches are connections that stay.
    assert eventually(lambda: connections(pid, port) >= 3)
    tenants.kubectl("a", "create", "-f", "-", stdin=workload("direct"))
    tenants.kubectl("a", "wait", "--for=condition=Ready", "workload/direct", "--timeout=120s")
