"""Run `metal3-workloads dev` as a process of its own, started and ended as a user does."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.e2e.kubectl import Kubectl

if TYPE_CHECKING:
    from pathlib import Path

READY_SECONDS = 120.0
STOP_SECONDS = 60.0
"""The process ends itself within ten seconds; this limit is for a busy machine."""


class Dev:
    """One dev folder and, between start and stop, its process. `output`: its output so far."""

    def __init__(self, folder: Path, kubectl: Path, *arguments: str) -> None:
        self.folder, self._kubectl, self._arguments = folder, kubectl, arguments
        self.process: subprocess.Popen[bytes] | None = None
        self.output = ""

    def start(self) -> Dev:
        """Start the process. Returns after the tour was printed."""
        log = open(self.folder.with_suffix(".log"), "ab")  # noqa: SIM115 - handed to the process
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, cwd=self.folder.parent)
        log.close()
        self._wait_ready(self.process)
        return self

    def stop(self) -> int:
        """End it with SIGTERM, for which it has STOP_SECONDS. Return the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, so that it cannot clean up."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        """Return the id of the running process."""
        assert self.process is not None, "it does not run"
        return self.process.pid

    @property
    def log(self) -> str:
        """The content of its log file, over all starts."""
        return self.folder.with_suffix(".log").read_text(errors="replace")

    @property
    def command(self) -> list[str]:
        """Return the command of the tested code itself, wherever it is installed."""
        return [sys.executable, "-m", "apiserver.cli.main", "dev", "--dir", str(self.folder), *self._arguments]

    def user(self, name: str, context: str = "management") -> Kubectl:
        """Return kubectl as the owner or a tenant."""
        return Kubectl(self._kubectl, self.folder / f"{name}.kubeconfig", self.folder.with_suffix(".kubectl"), context)

    @property
    def owner(self) -> Kubectl:
        """Return the owner, at the management endpoint."""
        return self.user("owner")

    @property
    def hardware(self) -> Kubectl:
        """Return the owner, at the hardware endpoint."""
        return self.user("owner", "hardware")

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None, "it does not run"
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"it did not stop within {STOP_SECONDS} s:\n{self._tail()}") from None
        finally:
            assert process.stdout is not None
            process.stdout.close()

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        printed = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"Stop with Ctrl-C" not in printed:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
                if not chunk:
                    self.close()
                    raise AssertionError(f"it did not become ready:\n{self._tail()}")
                printed += chunk
        self.output = printed.decode()

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-40:])
