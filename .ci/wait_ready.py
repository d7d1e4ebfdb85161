#!/usr/bin/env python3
"""Wait until every server in the kubeconfigs below FOLDER answers /readyz: `wait_ready.py FOLDER
PID [SECONDS]`.

PID is the process that writes the kubeconfigs; waiting ends when the process ends. The program
needs PyYAML.
"""

from __future__ import annotations

import base64
import os
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

POLL = 0.2


def identity(user: dict[str, Any], context: ssl.SSLContext) -> None:
    """Use the kubeconfig user's client certificate."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for part in ("client-certificate-data", "client-key-data"):
            file = Path(folder) / part
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(user[part]))
            files.append(str(file))
        context.load_cert_chain(*files)


def problem(kubeconfig: Path) -> str | None:
    """Return why one of the kubeconfig's servers is not ready, or None."""
    config = yaml.safe_load(kubeconfig.read_text())
    for entry in config["clusters"]:
        cluster = entry["cluster"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        identity(config["users"][0]["user"], context)
        try:
            urllib.request.urlopen(f"{cluster['server']}/readyz", context=context, timeout=5).close()
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            return f"{cluster['server']}/readyz: {error}"
    return None


def missing(folder: Path) -> str | None:
    """Return what is missing for readiness, or None."""
    kubeconfigs = sorted(folder.glob("*kubeconfig*"))
    if not kubeconfigs:
        return f"no kubeconfig in {folder}"
    for kubeconfig in kubeconfigs:
        try:
            found = problem(kubeconfig)
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            found = f"not complete yet: {error!r}"
        if found is not None:
            return f"{kubeconfig.name}: {found}"
    return None


def main(folder: Path, pid: int, seconds: float) -> str | None:
    """Return None when everything is ready.

    Otherwise return what was missing when the time was over or the process had ended."""
    deadline = time.monotonic() + seconds
    while (what := missing(folder)) is not None:
        if not os.path.exists(f"/proc/{pid}"):
            return f"process {pid} ended before it was ready ({what})"
        if time.monotonic() > deadline:
            return f"not ready within {seconds:g} s: {what}"
        time.sleep(POLL)
    print(f"ready: {', '.join(path.name for path in sorted(folder.glob('*kubeconfig*')))}")
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 60.0))
