"""Watch etcd across connections, from the last complete revision, at whichever endpoint answers.

etcd sends progress notifications only on request, and never while a watch lags. So this watch
requests them when it starts, when a newer revision was seen (`saw`), and when it was idle for a
while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson

from storage.base import Event, FutureRevision, Progress, Unavailable
from storage.etcd.cluster import Cluster
from storage.etcd.codec import PROGRESS_REQUEST, Keyspace
from storage.etcd.errors import Broken, GatewayError, Refused, to_storage
from storage.etcd.gateway import Gateway
from storage.etcd.watchdecoder import WatchDecoder

_log = logging.getLogger(__name__)

# seconds before the first progress request (an event may arrive first), and at most between two
_ASK = 0.005, 1.0
_BACKOFF = 0.05, 2.0  # the first and the longest delay between two connections, in seconds


class Watch:
    """A watch of `prefix` after a revision.

    current: returns the store's linearizable revision.

    interval: seconds of silence before progress is requested from etcd.

    patience: seconds without a connection before the watch ends with Unavailable."""

    def __init__(
        self,
        cluster: Cluster,
        space: Keyspace,
        prefix: str,
        after: int,
        *,
        current: Callable[[], Awaitable[int]],
        interval: float,
        patience: float,
    ) -> None:
        self._cluster, self._space, self._prefix = cluster, space, prefix
        self._current, self._interval, self._patience = current, interval, patience
        self._complete = after
        self._seen = 0
        self._answered = False  # whether progress or events arrived on this connection
        self._reading = False
        self._asked_for = asyncio.Event()
        self._healthy = asyncio.get_running_loop().time()
        self._backoff = _BACKOFF[0]

    def saw(self, revision: int) -> None:
        """Note that a reader or writer knows this revision, and may wait until the watch reaches
        it."""
        if revision > max(self._seen, self._complete):
            self._seen = revision
            self._asked_for.set()

    async def items(self) -> AsyncGenerator[Event | Progress, None]:
        """Yield the items of the watch. See Store.watch."""
        while True:
            try:
                async with aclosing(self._connection()) as items:
                    async for item in items:
                        yield item
            except GatewayError as error:
                failure = error
            await self._recover(failure)

    async def _connection(self) -> AsyncGenerator[Event | Progress, None]:
        """Yield items until the connection fails.

        Raises GatewayError, Compacted, FutureRevision or Unavailable."""
        decoder = WatchDecoder(self._space, self._complete)
        async with self._socket() as socket:
            now = asyncio.get_running_loop().time
            await socket.send_str(self._space.watch(self._prefix, self._complete))
            await self._check_future(decoder.created(await self._receive(socket, now() + self._cluster.timeout)))
            self._backoff = _BACKOFF[0]
            asker = asyncio.create_task(self._request_progress(socket), name="etcd-watch-progress")
            try:
                deadline = self._deadline()
                while True:
                    items = decoder.feed(await self._receive(socket, deadline))
                    if decoder.complete == self._complete < self._seen and self._answered:
                        # A member that is partitioned from the others but still answers must not
                        # keep this watch alive
                        continue
                    self._complete, self._answered = decoder.complete, self._answered or bool(items)
                    for item in items:
                        yield item
                    self._healthy = now()  # after the yield, because the reader may take long
                    deadline = self._deadline()
            finally:
                asker.cancel()

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        gateway: Gateway = self._cluster.current
        try:
            try:
                async with asyncio.timeout(self._cluster.timeout):
                    socket = await gateway.open_watch()
            except TimeoutError:
                raise Broken(f"no watch at {gateway.endpoint} within {self._cluster.timeout:g} s") from None
            try:
                yield socket
            finally:
                await socket.close()
        except Refused as error:
            if error.repeatable:
                self._cluster.fail_over(gateway, error)
            raise
        except GatewayError as error:
            self._cluster.fail_over(gateway, error)
            raise

    async def _check_future(self, revision: int) -> None:
        """Raise FutureRevision if the watch starts at a revision that does not exist yet.

        etcd would wait for that revision. The connected member may also just lag behind the
        others."""
        if revision < self._complete and (current := await self._current()) < self._complete:
            raise FutureRevision(self._complete, current)

    def _deadline(self) -> float:
        """Return the time at which a silent connection counts as dead.

        By then etcd has not answered a progress request for as long as a call may take."""
        return asyncio.get_running_loop().time() + self._interval + self._cluster.timeout

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, deadline: float) -> dict[str, Any]:
        self._cluster.current  # noqa: B018 - raises when closed, so that no buffered message is yielded
        self._reading = True
        try:
            async with asyncio.timeout_at(deadline):
                message = await socket.receive()
        except TimeoutError:
            raise Broken("a watch was silent for too long") from None
        finally:
            self._reading = False
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise Broken(f"a watch lost its connection ({message.extra or message.data or message.type.name})")
        try:
            decoded: dict[str, Any] = orjson.loads(message.data)
        except orjson.JSONDecodeError:
            raise Broken("a watch got what is not JSON") from None
        return decoded

    def _caught_up(self) -> bool:
        """Return whether no caller waits for progress."""
        return self._answered and self._complete >= self._seen

    async def _request_progress(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Request progress as long as the connection lasts."""
        pause, reached = _ASK[0], 0
        while not socket.closed:
            quiet = False
            if self._complete > reached:  # etcd answers again, so the shortest pause suffices
                pause, reached = _ASK[0], self._complete
            if self._caught_up():
                self._asked_for.clear()
                try:
                    async with asyncio.timeout(self._interval):
                        await self._asked_for.wait()
                except TimeoutError:
                    quiet = True
            if not quiet:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _ASK[1], self._interval)
            if self._reading and (quiet or not self._caught_up()):
                with suppress(aiohttp.ClientError, OSError):  # the reader notices the failure
                    await socket.send_str(PROGRESS_REQUEST)

    async def _recover(self, error: GatewayError) -> None:
        """Wait until the watch may connect again. Raises StorageError if a new connection cannot
        help."""
        self._cluster.current  # noqa: B018 - raises when closed
        self._answered = False
        if isinstance(error, Refused):
            if error.stale_token:
                await self._cluster.renew_token()
            elif not error.repeatable:
                raise to_storage(error, self._cluster.where) from error
        if asyncio.get_running_loop().time() - self._healthy > self._patience:
            raise to_storage(error, self._cluster.where) from error
        _log.info("A watch after revision %d connects again: %s", self._complete, error)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._backoff):
                await self._cluster.closing.wait()
        self._backoff = min(2 * self._backoff, _BACKOFF[1])
        if self._cluster.closing.is_set():
            raise Unavailable(f"the store in etcd at {self._cluster.where} was closed")
