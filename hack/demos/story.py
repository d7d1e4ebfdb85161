"""Print a demonstration: numbered steps, the commands with their output, and what was checked."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import TracebackType
from typing import Self

from tests.integration.running import Running
from tests.integration.tcpproxy import Proxy, proxied


class Story:
    """Prints to stdout without delay."""

    def __init__(self, title: str) -> None:
        self._begin, self._number = time.monotonic(), 0
        self._print(f"# {title}")

    def step(self, text: str) -> None:
        """Announce the next step."""
        self._number += 1
        self._print(f"\n{self._number}. {text}  [{time.monotonic() - self._begin:.0f}s]")

    def show(self, cluster: Running, who: str, *arguments: str) -> str:
        """Print a kubectl command and its output. Return the output."""
        self._print(f"   {who}$ kubectl {' '.join(arguments)}")
        output = cluster.kubectl(who, *arguments)
        for line in output.rstrip().splitlines():
            self._print(f"   | {line}")
        return output

    def print_line(self, line: str) -> None:
        """Print a line of another program's output."""
        self._print(f"   | {line}")

    def checked(self, text: str) -> None:
        """Print what was just checked."""
        self._print(f"   ok: {text}")

    def end(self) -> None:
        self._print(f"\nAll checks passed. [{time.monotonic() - self._begin:.0f}s]")

    def _print(self, line: str) -> None:
        print(line, flush=True)
        sys.stdout.flush()


class Link:
    """A link between two clusters that can be cut: a TCP proxy on a loopback port, in a thread."""

    def __init__(self, target: int) -> None:
        self._target, self._loop = target, asyncio.new_event_loop()
        self._proxy: Proxy | None = None
        self._tried_before = 0
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise AssertionError("the proxy did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def port(self) -> int:
        return self._running.port

    @property
    def _running(self) -> Proxy:
        assert self._proxy is not None
        return self._proxy

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._loop.call_soon_threadsafe(self._running.cut)

    def drop(self) -> None:
        """Keep and accept connections, but deliver nothing."""
        self._tried_before = self._running.connections
        self._loop.call_soon_threadsafe(self._running.flowing.clear)

    def mend(self) -> None:
        """Restore the link."""
        self._running.open = True
        self._loop.call_soon_threadsafe(self._running.flowing.set)

    @property
    def tried(self) -> int:
        """Return the number of connection attempts since `drop`."""
        return self._running.connections - self._tried_before

    async def _run(self) -> None:
        async with proxied(self._target) as self._proxy:
            self._ready.set()
            await self._over.wait()
