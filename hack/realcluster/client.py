"""Provide a small client of kube-apiserver for the set-up: many small requests in parallel, for
which kubectl is slow."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from hack.realcluster.pki import WrittenPair
from hack.realcluster.processes import POLL, Process, ProcessError

Object = dict[str, Any]
PARALLEL = 24
REQUEST_SECONDS = 30.0
BUSY_SECONDS = 20.0
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class ApiError(Exception):
    """Reports that the server answered with an error. `code` is the HTTP status."""

    def __init__(self, method: str, path: str, code: int, message: str) -> None:
        super().__init__(f"{method} {path}: {code} {message}")
        self.code = code


class Client:
    """Sends JSON to one kube-apiserver with one client certificate. Use it as an async context
    manager."""

    def __init__(self, server: str, ca: bytes, pair: WrittenPair) -> None:
        self._server = server
        self._context = ssl.create_default_context(cadata=ca.decode("ascii"))
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=PARALLEL)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json") -> Object:
        """Send one request and return the decoded response. Raises ApiError for every status of 400
        and above.

        Requests with status 429 or 503 are repeated for a while. For a moment, a kube-apiserver
        with a new kind answers that its "storage is (re)initializing". With a newly available
        APIService, it answers that this is not available.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._once(method, path, body, content_type)
            except ApiError as error:
                if error.code not in BUSY or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL)

    async def _once(self, method: str, path: str, body: Object | None, content_type: str) -> Object:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        async with self._session.request(method, self._server + path, json=body, headers={"Content-Type": content_type}) as response:
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise ApiError(method, path, response.status, (await response.text()).strip()[:600])
            if response.content_type != "application/json":
                return {"text": await response.text()}
            answer: Object = await response.json()
            return answer

    async def get(self, path: str) -> Object:
        """Send GET `path`."""
        return await self.request("GET", path)

    async def apply(self, path: str, obj: Object) -> Object:
        """Apply `obj` with server-side apply. `path` is its own path, with its name."""
        query = "?fieldManager=hack-cluster&force=true"
        return await self.request("PATCH", path + query, obj, content_type="application/apply-patch+yaml")

    async def apply_all(self, objects: Iterable[tuple[str, Object]]) -> None:
        """Apply many (path, object) pairs concurrently. The first error ends it."""
        async with asyncio.TaskGroup() as group:
            for path, obj in objects:
                group.create_task(self.apply(path, obj))

    async def ready(self) -> str | None:
        """Return None if /readyz reports ok, else what is missing."""
        return await self._probe("/readyz")

    async def healthy(self) -> str | None:
        """Return None if /healthz reports ok, else what is missing."""
        return await self._probe("/healthz")

    async def _probe(self, path: str) -> str | None:
        try:
            await self._once("GET", path, None, "application/json")
        except ApiError as error:
            return "; ".join(line for line in str(error).splitlines() if not line.startswith("[+]"))
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"no answer yet ({error})"
        return None


async def wait_for(
    what: str, check: Callable[[], Awaitable[str | None]], *, seconds: float, processes: Iterable[Process] = (), poll: float = POLL
) -> None:
    """Call `check` until it returns None (done). Any other result states what is missing.

    Raises ProcessError if a process of `processes` dies or `seconds` pass, with what was missing
    and the ends of their logs.
    """
    watched = list(processes)
    deadline = time.monotonic() + seconds
    while (missing := await check()) is not None:
        dead = [process for process in watched if not process.running()]
        if dead:
            raise ProcessError(f"{dead[0].name} ended while waiting for {what}; its log {dead[0].log} ends with\n{dead[0].tail()}")
        if time.monotonic() > deadline:
            logs = "".join(f"\n{process.name}: {process.log} ends with\n{process.tail()}" for process in watched)
            raise ProcessError(f"{what} did not happen within {seconds:g} s: {missing}{logs}")
        await asyncio.sleep(poll)
