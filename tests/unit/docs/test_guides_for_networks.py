"""Run what the guides let an operator type about networks and registries, as it is written."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_the_peers_of_the_server_are_printed_for_both_families() -> None:
    page = (DOCS / "operating.md").read_text().partition("## Network policies")[2]
    found = re.search(r"-- python -c '\n(.*?)\n'\n```", page, re.DOTALL)
    assert found is not None
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.create_server((address, 0), family=family) as server:
            port = server.getsockname()[1]
            script = found[1].replace("6443", str(port))
            assert script != found[1]
            assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout == "\n"
            with socket.create_connection((address, port)):
                done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
                assert done.stdout == f"{address}\n"
