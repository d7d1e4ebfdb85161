"""Run more replicas of a cluster's API server: started with its arguments, on ports of their own,
and ended by pid."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.integration.running import Running, eventually

if TYPE_CHECKING:
    from pathlib import Path

STOP_SECONDS = 30
"""The value of terminationGracePeriodSeconds in manifests/base."""


@dataclass(frozen=True)
class Replica:
    """One additional process, and the cluster as seen through it."""

    folder: Path
    process: subprocess.Popen[bytes]
    server: Running

    @property
    def port(self) -> int:
        """Return the port on which it listens."""
        return int((self.folder / "port").read_text())

    def stop(self, grace_seconds: float = STOP_SECONDS) -> int:
        """End it as a kubelet does, by TERM and after a while by KILL. Return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(grace_seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self.process.kill()
        self.process.wait(10)


def argv_of(cluster: Running, name: str) -> list[str]:
    """Return the arguments with which a process of the cluster was started."""
    records = [json.loads(line) for line in (cluster.root / "processes.jsonl").read_text().splitlines()]
    return list(next(record["argv"] for record in reversed(records) if record["name"] == name))


def start_replica(cluster: Running, folder: Path, *more: str, **flags: str) -> Replica:
    """Start another replica of the API server, and return when its port is known.

    `more` are additional arguments. `flags` replace those of the cluster's own server; "_" stands
    for "-"."""
    folder.mkdir()
    argv = [*argv_of(cluster, "apiserver"), *more]
    for flag, value in {"secure-port": "0", "audit-log-path": str(folder / "audit.jsonl"), **flags}.items():
        argv[argv.index(f"--{flag.replace('_', '-')}") + 1] = value
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*argv, "--port-file", str(folder / "port")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def port() -> str:
        assert process.poll() is None, (folder / "log").read_text()
        return (folder / "port").read_text() if (folder / "port").exists() else ""

    try:
        url = f"https://127.0.0.1:{int(eventually(port))}"
    except BaseException:
        process.kill()
        process.wait(10)
        raise
    description = cluster.description | {"apiserver": cluster.description["apiserver"] | {"url": url}}
    return Replica(folder, process, replace(cluster, description=description))


def is_ready(server: Running) -> bool:
    """Return whether its /readyz reports ok."""
    with suppress(OSError):
        return server.direct("/readyz", identity=server.admin_identity()).code == 200
    return False
