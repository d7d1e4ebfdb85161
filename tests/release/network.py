"""Create networks for this process and for pods, and connect them as a node does.

Each pod has a network of its own, so that several replicas listen on the port that the manifests
name. Nothing outside reaches them."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from typing import Any

LOOPBACK = "127.0.0.1"
PODS = "192.0.2."
"""The addresses of pods: for documentation (RFC 5737), each local to the network of its pod."""
SERVICES = "10.96.0.0/16"
"""The address range of Services in hack/cluster's kube-apiservers."""
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SECONDS = 30
NUMBERS = itertools.count(1)


class Network:
    """A network namespace of loopback addresses. `address` is the pod's, at which the others reach
    it."""

    def __init__(self) -> None:
        self.address = f"{PODS}{next(NUMBERS)}"
        before = _current()
        try:
            _call(LIBC.unshare, CLONE_NEWNET)
            self.descriptor = _current()
            for command in ("link set lo up", f"address add {self.address}/32 dev lo", f"address add {SERVICES} dev lo"):
                subprocess.run(["ip", *command.split()], check=True)
        finally:
            _call(LIBC.setns, before, CLONE_NEWNET)
            os.close(before)

    @property
    def path(self) -> str:
        """Return a path at which a runtime finds the network while this process runs."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Move this thread into the network. A socket stays in the network in which it was
        created, and so do processes and threads that were started there."""
        before = _current()
        try:
            _call(LIBC.setns, self.descriptor, CLONE_NEWNET)
            yield
        finally:
            _call(LIBC.setns, before, CLONE_NEWNET)
            os.close(before)

    def close(self) -> None:
        """Close the network's file. The kernel removes the network after its last process."""
        os.close(self.descriptor)


@contextmanager
def own_network() -> Iterator[Network]:
    """Move this thread into a new network, the node's."""
    network = Network()
    try:
        with network.inside():
            yield network
    finally:
        network.close()


@dataclass(frozen=True)
class Address:
    """A port of an address in a network; without a network, the node's."""

    network: Network | None
    host: str
    port: int

    def socket(self) -> socket.socket:
        """Return a new socket in the network."""
        if self.network is None:
            return socket.socket()
        with self.network.inside():
            return socket.socket()


Choice: TypeAlias = "Callable[[], Sequence[Address]]"


class Proxy:
    """Connect networks as kube-proxy does: each connection to an address is forwarded to one of
    those that are the address's targets at that moment. It runs in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: dict[Address, asyncio.Server] = {}
        self._turns = itertools.count()
        self._serving: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()

    def forward(self, address: Address, targets: Choice) -> None:
        """Forward connections to an address from now on."""
        if address not in self._servers:
            self._wait(self._listen(address, targets))

    def leave(self, network: Network) -> None:
        """Stop listening in a network."""
        self._wait(self._close([address for address in self._servers if address.network is network]))

    def close(self) -> None:
        """End everything."""
        self._wait(self._close(list(self._servers)))
        self._wait(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    async def _listen(self, address: Address, targets: Choice) -> None:
        listener = address.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._serve(reader, writer, targets))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

        self._servers[address] = await asyncio.start_server(accept, sock=listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, targets: Choice) -> None:
        writers = [writer]
        try:
            inner_reader, inner_writer = await self._connect(targets())
            writers.append(inner_writer)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        except OSError:
            pass  # the client sees a closed connection, as from a port on which no process listens
        finally:
            for each in writers:
                each.transport.abort()

    async def _connect(self, targets: Sequence[Address]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not targets:
            raise ConnectionRefusedError
        target = targets[next(self._turns) % len(targets)]
        made = target.socket()
        made.setblocking(False)
        try:
            await self._loop.sock_connect(made, (target.host, target.port))
        except BaseException:
            made.close()
            raise
        return await asyncio.open_connection(sock=made)

    async def _close(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            self._servers.pop(address).close()

    async def _cancel(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction, including its end. The other direction may continue.

    Raises OSError if the connection breaks, which ends both directions."""
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _call(function: ctypes._NamedFuncPointer, *arguments: int) -> None:
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)}: these tests need root and network namespaces")
