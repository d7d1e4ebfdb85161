"""Run a real etcd for the tests of the store: started, killed, frozen and restarted over the same
data, always by its pid."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from binascii import a2b_base64
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hack.realcluster.ports import reserve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS = 60.0


RELEASES = ("etcd", "etcd35")
"""The newest and the oldest etcd that the store supports."""


@cache
def etcd_tool(name: str) -> Path:
    """Return the path of etcd, etcd35 or etcdutl, as hack/tools/build builds them."""
    tools = subprocess.run([ROOT / "hack/tools/build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    tool = Path(tools) / name
    assert tool.exists(), f"{tool} is missing: add it to KUBEBUILDER_ASSETS, or unset that"
    return tool


@dataclass
class EtcdServer:
    """One member, alone in its cluster unless `peers` names others.

    `peers`: name → the port where a peer is reached. `flags`: additional flags of etcd. `release`:
    which etcd. `advertised`: the port where others reach the member, if it differs from its own
    peer port."""

    folder: Path
    name: str = "m1"
    flags: Sequence[str | Path] = ()
    release: str = RELEASES[0]
    scheme: str = "http"
    context: ssl.SSLContext | None = None
    peers: dict[str, int] = field(default_factory=dict)
    client_port: int = field(default_factory=reserve)
    peer_port: int = field(default_factory=reserve)
    advertised: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Return the URL for clients."""
        return f"{self.scheme}://127.0.0.1:{self.client_port}"

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, return when it is healthy."""
        advertised = self.advertised or self.peer_port
        peers = {self.name: advertised, **self.peers}
        argv = [
            etcd_tool(self.release),
            f"--name={self.name}",
            f"--data-dir={self.folder / self.name}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{advertised}",
            "--initial-cluster=" + ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in peers.items()),
            "--log-level=warn",
            *self.flags,
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when it is healthy."""
        assert self.process is not None
        deadline = time.monotonic() + UP_SECONDS
        while not self._healthy():
            assert self.process.poll() is None, f"etcd ended: {self.log()}"
            assert time.monotonic() < deadline, f"etcd is not healthy within {UP_SECONDS:g} s: {self.log()}"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it with SIGKILL, and reap it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def freeze(self) -> None:
        """Stop it with SIGSTOP: connections stay, and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue it with SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def snapshot(self, file: Path) -> None:
        """Save a snapshot as `etcdctl snapshot save` does."""
        request = urllib.request.Request(f"{self.endpoint}/v3/maintenance/snapshot", b"{}")
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
            file.write_bytes(b"".join(a2b_base64(json.loads(line)["result"].get("blob", "")) for line in answer))

    def restore(self, file: Path, *options: str) -> None:
        """Replace all data with a snapshot, with `etcdutl snapshot restore` and these options.

        The member must not be running."""
        assert self.process is None, "kill it first"
        shutil.rmtree(self.folder / self.name)
        peer = f"http://127.0.0.1:{self.peer_port}"
        argv: list[str | Path] = [
            *(etcd_tool("etcdutl"), "snapshot", "restore", file, f"--data-dir={self.folder / self.name}", f"--name={self.name}"),
            *(f"--initial-cluster={self.name}={peer}", f"--initial-advertise-peer-urls={peer}", *options),
        ]
        subprocess.run(argv, check=True, capture_output=True)

    def log(self) -> str:
        """Return the end of its log."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/health", timeout=5, context=self.context) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False
