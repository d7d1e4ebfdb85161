"""The folder that dev mode lives in: one process at a time, ports and an authority that stay the same from start to start.

Everything but the databases can be made anew; keys and kubeconfigs are readable by their owner only.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

import yaml

from apiserver.server.pki import Authority, BadAuthority, KeyPair, write_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ENDPOINTS", "BadDirectory", "Directory"]

ENDPOINTS = ("management", "hardware")


class BadDirectory(Exception):
    """The folder cannot be used; the message says what to do."""


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

    def ports(self) -> dict[str, int]:
        """The port per endpoint that was kept; 0, any free one, at first."""
        kept = self.read_mapping("ports.json")
        return {endpoint: port if isinstance(port := kept.get(endpoint), int) else 0 for endpoint in ENDPOINTS}

    def keep_ports(self, **ports: int) -> None:
        """Have these again at the next start, so that kubeconfigs stay good."""
        if ports != self.ports():
            self.write("ports.json", json.dumps(ports))

    def write(self, name: str, text: str) -> Path:
        """Put a file there, readable by its owner only."""
        path = self.path / name
        write_private(path, text.encode())
        return path

    def read_mapping(self, name: str) -> dict[str, Any]:
        """A JSON or YAML file of the folder; empty where it is missing or broken."""
        try:
            found = yaml.safe_load((self.path / name).read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}
