"""Connect HTTP clients and servers of one process in memory, and simulate processes that may die at
any call.

Code in the context of a `Process` makes its calls as that process. When the process dies, its
connections break at once. Nothing more arrives from it, whatever its code still tries while it is
being cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from unittest import mock

import aiohttp

from apiserver.client.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

Protocols = "Callable[[], asyncio.Protocol]"


class Process:
    """A simulated process that makes calls, and can be killed.

    `calls`: "METHOD path" of each call, without watches. `die_at`: the call (counted from 1, since
    `count`) at which it dies: before the call is sent or, with `answered`, after the server has
    carried it out, but before the answer arrives."""

    current: ContextVar[Process | None] = ContextVar("process", default=None)

    def __init__(self, name: str) -> None:
        self.name, self.dead = name, asyncio.Event()
        self.calls: list[str] = []
        self.die_at, self.answered = 0, False
        self.pipes: list[Pipe] = []
        self.cut: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` as this process until it is killed."""

        async def body() -> None:
            self.current.set(self)
            await main()

        self._task = asyncio.get_running_loop().create_task(body(), name=self.name)

    def count(self) -> None:
        """Discard the calls so far, and count from now on."""
        self.calls.clear()

    def isolate(self, port: int) -> None:
        """Cut its connection to that server, until `cut` is cleared."""
        self.cut.add(port)
        for pipe in [pipe for pipe in self.pipes if pipe.port == port]:
            pipe.abort()

    def die(self) -> None:
        """Break all connections, so that nothing more arrives from it."""
        self.dead.set()
        for pipe in self.pipes:
            pipe.abort()
        self.pipes.clear()

    async def kill(self) -> None:
        """Kill it, and clean up. Raises the error with which it failed while it lived."""
        failed = self._task is not None and self._task.done() and not self.dead.is_set()
        self.die()
        if self._task is not None:
            self._task.cancel()
            [result] = await asyncio.gather(self._task, return_exceptions=True)
            if failed and isinstance(result, BaseException):
                raise result

    async def call(self, what: str, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Make one call: count it, and die if it is the last one."""
        if self.dead.is_set():
            raise asyncio.CancelledError
        self.calls.append(what)
        last = len(self.calls) == self.die_at
        if last and not self.answered:
            self.die()
            raise asyncio.CancelledError
        try:
            result = await send()
        finally:
            if last:
                self.die()
        if last or self.dead.is_set():
            raise asyncio.CancelledError
        return result


class Pipe(asyncio.Transport):
    """One end of a connection.

    What is written arrives at the other end's protocol, in order, after `delay()` seconds."""

    peer: Pipe
    port = 0

    def __init__(self, protocol: Any, delay: Callable[[], float]) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.protocol, self._delay = protocol, delay
        self._loop = asyncio.get_running_loop()
        self._closed, self._paused = False, False
        self._received: deque[bytes] = deque()
        self._arrives = 0.0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closed:
            self._later(self.peer._receive, bytes(data))

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        delay = self._delay()
        if not delay and self._arrives <= self._loop.time():
            self._loop.call_soon(call, *arguments)
            return
        self._arrives = max(self._arrives + 1e-6, self._loop.time() + delay)
        self._loop.call_at(self._arrives, call, *arguments)

    def _receive(self, data: bytes) -> None:
        self._received.append(data)
        self._deliver()

    def _deliver(self) -> None:
        while self._received and not self._paused and not self._closed:
            self.protocol.data_received(self._received.popleft())

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return not self._paused

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Close the connection after the arrival of what was written."""
        if not self._closed:
            self._closed = True
            self._later(self.peer._lost)
            self._loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def _lost(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False


class Network:
    """The servers by port. `delay`: the seconds that each piece of data needs."""

    def __init__(self, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.servers: dict[int, Callable[[], asyncio.Protocol]] = {}
        self.delay = delay

    def listen(self, protocols: Callable[[], asyncio.Protocol]) -> int:
        """Serve with these protocols. Return the port."""
        port = 40_000 + len(self.servers)
        self.servers[port] = protocols
        return port

    def connect(self, client: Any, port: int) -> None:
        """Connect a client's protocol with a new one of the server."""
        process = Process.current.get()
        if port not in self.servers or (process is not None and (port in process.cut or process.dead.is_set())):
            raise aiohttp.ClientConnectionError("refused")
        here, there = Pipe(client, self.delay), Pipe(self.servers[port](), self.delay)
        here.peer, there.peer = there, here
        here.port = port
        if process is not None:
            process.pipes.append(here)
        there.protocol.connection_made(there)
        client.connection_made(here)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let clients that are created in this block use this network, with calls that belong to
        their process."""
        network = self

        class Connector(aiohttp.TCPConnector):
            async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
                protocol = self._factory()
                network.connect(protocol, req.url.port)
                return protocol

        request = Client.request

        async def counted(client: Client, method: str, path: str, **options: Any) -> Any:
            process = Process.current.get()
            if process is None:
                return await request(client, method, path, **options)
            return await process.call(f"{method} {path}", lambda: request(client, method, path, **options))

        with mock.patch.object(aiohttp, "TCPConnector", Connector), mock.patch.object(Client, "request", counted):
            yield
