"""Simulate an etcd gateway whose answers a test defines: lists of answers for calls, scripts for
watches."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import defaultdict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    body: dict[str, Any] | bytes


class _Special:
    pass


HANG, DROP = _Special(), _Special()
Answer = dict[str, Any] | Refusal | _Special


class FakeEtcd:
    """The answers, and the received calls."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.calls: list[tuple[str, Any]] = []
        self.tokens: list[str | None] = []
        self.watches: deque[Callable[[Socket], Awaitable[None]]] = deque()
        self._answers: dict[str, deque[Answer]] = defaultdict(deque)
        self._released = asyncio.Event()
        self._called = asyncio.Event()

    def answer(self, path: str, *answers: Answer) -> None:
        """Define the answers to calls of a path, one after the other. The last one is repeated."""
        self._answers[path] = deque(answers)

    def asked(self, path: str) -> list[Any]:
        """Return the decoded bodies sent to a path."""
        return [body for called, body in self.calls if called == path]

    async def until_called(self) -> None:
        """Wait until any call has arrived."""
        async with asyncio.timeout(60):
            await self._called.wait()

    def release(self) -> None:
        """End everything that hangs."""
        self._released.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v3")
        if path == "/watch" and request.method == "GET":
            return await self._watch(request)
        self.calls.append((path, orjson.loads(await request.read() or b"null")))
        self.tokens.append(request.headers.get("authorization"))
        self._called.set()
        answers = self._answers[path]
        if not answers:
            return web.json_response({"code": 12, "message": f"the fake has no answer for {path}"}, status=501)
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if answer is HANG:
            await self._released.wait()
        if isinstance(answer, _Special):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, Refusal):
            body = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
            return web.Response(status=answer.status, body=body, content_type="application/json")
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("Bearer",))
        await socket.prepare(request)
        self.tokens.append(request.headers.get("Sec-WebSocket-Protocol"))
        if self.watches:
            await self.watches.popleft()(Socket(self, socket))
        await socket.close()
        return socket


class Socket:
    """One watch's connection, as a script sees it."""

    def __init__(self, etcd: FakeEtcd, socket: web.WebSocketResponse) -> None:
        self._etcd, self._socket = etcd, socket

    async def next(self) -> Any:
        """Return the client's next message; None at its end."""
        message = await self._socket.receive()
        if message.type != WSMsgType.TEXT:
            return None
        decoded = orjson.loads(message.data)
        self._etcd.calls.append(("/watch", decoded))
        return decoded

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self._socket.send_str(orjson.dumps(message).decode())

    async def answer_progress(self, revision: int) -> None:
        """Answer every progress request until the client ends."""
        while await self.next() is not None:
            await self.send(progress(revision))

    async def hang(self) -> None:
        """Send nothing until the client ends."""
        while await self.next() is not None:
            pass


@asynccontextmanager
async def running() -> AsyncIterator[FakeEtcd]:
    """Yield a fake on a free loopback port."""
    etcd = FakeEtcd()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", etcd.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    etcd.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield etcd
    finally:
        etcd.release()
        await runner.cleanup()


def b64(value: bytes) -> str:
    return b64encode(value).decode()


def header(revision: int) -> dict[str, Any]:
    return {"header": {"cluster_id": "1", "revision": str(revision)}}


def created(revision: int) -> dict[str, Any]:
    return {"result": {**header(revision), "created": True}}


def progress(revision: int) -> dict[str, Any]:
    return {"result": {**header(revision), "watch_id": "-1"}}


def events(*items: dict[str, Any], revision: int = 0, fragment: bool = False) -> dict[str, Any]:
    """Return a batch of events. `revision`: the header's, which may be ahead."""
    result = {**header(revision or int(items[-1]["kv"]["mod_revision"])), "events": list(items)}
    return {"result": {**result, "fragment": True} if fragment else result}


def event(key: str, value: bytes | None, revision: int, previous: bytes | None = None, *, lost: bool = False) -> dict[str, Any]:
    """Return one event in etcd's format. The value None means deleted.

    `lost`: the previous value is omitted although there was one."""
    made: dict[str, Any] = {"kv": {"key": b64(key.encode()), "mod_revision": str(revision)}}
    if value is None:
        made["type"] = "DELETE"
    else:
        made["kv"]["create_revision"] = str(revision if previous is None and not lost else 1)
        if value:
            made["kv"]["value"] = b64(value)
    if previous is not None and not lost:
        made["prev_kv"] = {"key": made["kv"]["key"], "value": b64(previous)} if previous else {"key": made["kv"]["key"]}
    return made


async def until_idle(name: str) -> None:
    """Wait until the task of this name waits for an event."""
    async with asyncio.timeout(60):
        while not any(task.get_name() == name and _innermost(task) == "Event.wait" for task in asyncio.all_tasks()):  # noqa: ASYNC110 - tasks have no event
            await asyncio.sleep(0.001)


def _innermost(task: asyncio.Task[Any]) -> str:
    """Return the name of the coroutine in which a task waits."""
    coroutine: Any = task.get_coro()
    while hasattr(inner := coroutine.cr_await, "cr_code"):
        coroutine = inner
    return str(coroutine.cr_code.co_qualname)
