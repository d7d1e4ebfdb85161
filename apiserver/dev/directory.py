"""The folder that dev mode lives in: one process at a time, ports and an authority that stay the same from start to start.

Everything but the databases can be made anew; keys and kubeconfigs are readable by their owner only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from apiserver.server.pki import Authority, BadAuthority, KeyPair, write_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOOPBACK", "BadDirectory", "Directory"]

LOOPBACK = "127.0.0.1"
ENDPOINTS = ("management", "hardware")


class BadDirectory(Exception):
    """The folder, or a port, cannot be used; the message says what to do."""


class Directory:
    """One dev folder, locked from `open` to `close` (or the process' end, however it ends)."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = -1

    def open(self) -> None:
        """Make the folder and take it. Raises BadDirectory when another process has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            self.close()
            who = f"process {pid}" if pid.isdigit() else "another process"
            raise BadDirectory(f"{self.path} is in use by {who}: stop it, or give another folder with --dir") from None
        except OSError as error:
            raise BadDirectory(f"{self.path} cannot be used: {error.strerror}. Give another folder with --dir") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the folder. Idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def authority(self) -> Authority:
        """The certificate authority of this folder; made at first. Raises BadDirectory when it is broken."""
        certificate, key = self.path / "ca.crt", self.path / "ca.key"
        if not key.exists():
            made = Authority.create("metal3-workloads dev")
            # The key last: without it there is no authority yet, and both are made anew.
            write_private(certificate, made.pair.certificate)
            write_private(key, made.pair.key)
            return made
        try:
            return Authority(KeyPair(certificate.read_bytes(), key.read_bytes()))
        except (OSError, BadAuthority) as error:
            raise BadDirectory(
                f"the authority in {certificate} and {key} cannot be used ({error}): delete both to have them made anew"
            ) from None

    def sockets(self, wanted: dict[str, int]) -> dict[str, socket.socket]:
        """A listening socket on loopback per endpoint: on the port wanted, else on the one it had before, else on a free one.
        The ports are kept. Raises BadDirectory when one is taken."""
        kept = self._read("ports.json")
        found: dict[str, socket.socket] = {}
        try:
            for endpoint in ENDPOINTS:
                found[endpoint] = _listen(endpoint, wanted.get(endpoint) or int(kept.get(endpoint, 0)))
        except BaseException:
            for sock in found.values():
                sock.close()
            raise
        ports = {endpoint: sock.getsockname()[1] for endpoint, sock in found.items()}
        if ports != kept:
            self.write("ports.json", json.dumps(ports))
        return found

    def write(self, name: str, text: str) -> Path:
        """Put a file there, readable by its owner only."""
        path = self.path / name
        write_private(path, text.encode())
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; empty where it is missing or broken."""
        return self._read(name)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _listen(endpoint: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # The port of a process that was just killed may be taken over at once.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        why = "is taken by another process" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise BadDirectory(f"port {port} of the {endpoint} endpoint {why}: free it, or choose another with --{endpoint}-port") from None
    sock.setblocking(False)
    return sock
