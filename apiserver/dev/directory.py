"""Manage the folder of dev mode: for one process at a time, with stable ports and authority.

Everything except the databases can be created again. Only the owner can read keys and kubeconfigs.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import yaml

from apiserver.server.pki import Authority, BadAuthority, KeyPair, write_private

ENDPOINTS = ("management", "hardware")


class BadDirectory(Exception):
    """The folder cannot be used. The message says what to do."""


class Directory:
    """The folder of dev mode, locked from `open` until `close` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = -1

    def open(self) -> None:
        """Create and lock the folder. Raises BadDirectory if another process has it."""
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
        """Unlock the folder. Calling this again has no effect."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def authority(self) -> Authority:
        """Return the folder's certificate authority, created on first use. Raises BadDirectory if
        broken."""
        certificate, key = self.path / "ca.crt", self.path / "ca.key"
        if not key.exists():
            made = Authority.create("metal3-workloads dev")
            # Write the key last: without it there is no authority yet, and both are created again.
            write_private(certificate, made.pair.certificate)
            write_private(key, made.pair.key)
            return made
        try:
            return Authority(KeyPair(certificate.read_bytes(), key.read_bytes()))
        except (OSError, BadAuthority) as error:
            raise BadDirectory(
                f"the authority in {certificate} and {key} cannot be used ({error}): delete both to have them created again"
            ) from None

    def ports(self) -> dict[str, int]:
        """Return the saved port of each endpoint, initially 0 for any free one."""
        kept = self.read_mapping("ports.json")
        return {endpoint: port if isinstance(port := kept.get(endpoint), int) else 0 for endpoint in ENDPOINTS}

    def keep_ports(self, **ports: int) -> None:
        """Save the ports for the next start, so that kubeconfigs stay valid."""
        if ports != self.ports():
            self.write("ports.json", json.dumps(ports))

    def write(self, name: str, text: str) -> Path:
        """Write a file that only its owner can read."""
        path = self.path / name
        write_private(path, text.encode())
        return path

    def read_mapping(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON or YAML file, {} if it is missing or broken."""
        try:
            found = yaml.safe_load((self.path / name).read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}
