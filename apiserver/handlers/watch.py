"""Handle WATCH: send a stream of events until timeoutSeconds, the client or the server ends it.

A watch holds only its position in the collection's history. The Broadcaster of all watches writes
new events. A client that does not read is disconnected. A client that falls behind the history, or
requests compacted history, gets an ERROR event with 410 and lists again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from aiohttp import HttpVersion11, web

from apiserver.handlers.list import prefix_of
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.options import ListOptions, list_options
from apiserver.handlers.request.timebudget import TURNS, charging
from apiserver.handlers.response.errors import from_storage
from apiserver.handlers.response.listbody import CHUNK
from apiserver.handlers.response.metadata import wrong_form
from apiserver.handlers.response.respond import headers
from apiserver.handlers.scope import Scope
from apiserver.handlers.watchers.broadcaster import Broadcaster
from apiserver.handlers.watchers.frames import INITIAL_EVENTS_END, Frames, error_frame
from apiserver.handlers.watchers.registry import Watches
from apiserver.registry.generic.entry import Entry
from storage.base import Compacted, Unavailable
from storage.collection import Change
from storage.ring import Subscription

SHORTEST, LONGEST = 1800.0, 3600.0
"""The range of seconds of a watch without timeoutSeconds.

The time is random, so that not all clients come back at once."""
UNPAUSED = 16 * 1024
"""The bytes in a transport's buffer up to which the transport never pauses the writer.

This is the low-water mark of asyncio and uvloop."""
PAUSED = 64 * 1024
"""The bytes in the buffer beyond which the transport pauses the writer (the high-water mark).

Such bytes count as unread."""
RATE = 1024 * 1024
"""The bytes of initial events for which a client has another second (see Timings.initial)."""
PAID = 0.0002
"""The seconds of CPU time that a watch uses before its user is charged for them."""
AT_ONCE, BYTES = 64, 256 * 1024
"""The number of changes and the bytes of one piece, which has at least one change.

A client that does not read has one piece in its connection's buffer."""


async def watch(call: Call, scope: Scope) -> web.StreamResponse:
    """Send the changes of a namespace, or of all namespaces, that concern the selectors."""
    form = negotiate(call, watch=True)
    if form.kind == "PartialObjectMetadataList":
        raise wrong_form(form.kind, "the requested object is not a list")
    options = list_options(call.query, scope.resource, watch=True)
    prefix = prefix_of(scope, call.info, options.selector)
    chunked = call.http.version >= HttpVersion11
    frames = Frames(scope.resource, form, prefix, options.selector, call.query, scope.batch_cache, chunked=chunked)
    initial = not options.revision if options.initial_events is None else options.initial_events
    response = web.StreamResponse(headers=headers(call, form))
    # The connection closes with the watch. So the client does not send its next request to a server
    # that may be stopping, and after each watch it may reach another replica.
    response.force_close()
    stream = _Stream(call, response, frames, options, scope.watches)
    with scope.watches.running(call.info):
        if scope.watches.stopping:
            stream.end_at_once()
        await _serve(scope, stream, initial, prefix)
    return await stream.end()


async def _serve(scope: Scope, stream: _Stream, initial: bool, prefix: str) -> None:
    collection = scope.registry.collection
    # There is no await between the range and the subscription, so no change is lost or duplicated.
    entries = collection.range(prefix) if initial else []
    revision = collection.revision
    try:
        subscription = collection.subscribe(revision if initial else stream.options.revision or revision)
    except Compacted as error:
        await stream.fail(error)
        return
    try:
        await stream.begin(entries, revision if initial else 0)
        await stream.follow(subscription, scope.broadcaster)
    except Compacted as error:
        await stream.fail(error)
    except Unavailable:
        pass  # the storage is being closed; the client comes back, here or to another replica
    finally:
        subscription.close()


class _Stream:
    """The response of one watch.

    It follows a Broadcaster while it is up to date, and catches up in its own task otherwise."""

    def __init__(self, call: Call, response: web.StreamResponse, frames: Frames, options: ListOptions, watches: Watches) -> None:
        self.options = options
        self._call, self._response, self._frames = call, response, frames
        self._unread, self._timings = watches.unread, watches.timings
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + (options.timeout or random.uniform(SHORTEST, LONGEST))
        self._subscription: Subscription[Change[Entry]] | None = None
        self._failure: Exception | None = None
        self._woken: asyncio.Future[None] | None = None
        self._charge, self._unpaid = charging(), 0.0

    def end_at_once(self) -> None:
        """Send only the initial events, and the bookmark that tells clients where to continue.

        Without any event, client-go would list again."""
        self._end = self._loop.time()

    async def begin(self, entries: Iterable[Entry], revision: int) -> None:
        """Send the headers, so that the client knows that it watches, then the initial events and
        bookmark."""
        await self._response.prepare(self._call.http)
        waiting: list[bytes] = []
        size, turn, until = 0, TURNS.begin(), self._loop.time() + self._timings.initial
        for frame in self._frames.initial(entries):
            waiting.append(frame)
            size += len(frame)
            if size >= CHUNK:
                await self._write(b"".join(waiting))
                await turn.checkpoint()
                until += size / RATE
                if self._loop.time() > until:
                    raise self._cut("the client reads the initial events too slowly")
                waiting, size = [], 0
        if self.options.initial_events and self.options.bookmarks:
            waiting.append(self._frames.bookmark(revision, INITIAL_EVENTS_END))
        await self._write(b"".join(waiting))

    async def follow(self, subscription: Subscription[Change[Entry]], broadcaster: Broadcaster) -> None:
        """Send changes and bookmarks until the watch's time is over. Raises Compacted or
        Unavailable."""
        self._subscription = subscription
        bookmark = self._next_bookmark()
        while self._loop.time() < self._end:
            await self._catch_up(subscription)
            # There is no await in between, so the fan-out continues exactly here.
            broadcaster.join(self)
            try:
                await self._sleep(min(bookmark, self._end))
            finally:
                broadcaster.leave(self)
            if self._failure is not None:
                raise self._failure
            if self._loop.time() >= bookmark:
                if self._gone():
                    return
                bookmark = self._next_bookmark()
                if self.options.bookmarks:
                    await self._write(self._frames.bookmark(subscription.revision))

    def deliver(self) -> bool:
        """Write new events. See Follower."""
        transport = self._call.http.transport
        assert self._subscription is not None, "it follows"
        if transport is None or transport.is_closing():
            return False  # the task is being cancelled
        try:
            if transport.get_write_buffer_size() <= UNPAUSED:
                data = self._frames.changes(self._subscription.take(AT_ONCE, BYTES))
                if data:
                    transport.write(data)
                if self._subscription.complete and transport.get_write_buffer_size() <= PAUSED:
                    return True
        except Exception as error:
            self._failure = error
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
        return False

    def pay(self, seconds: float) -> None:
        """Charge the watch's user. See Follower."""
        self._unpaid += seconds + self._frames.settle()
        if self._unpaid > PAID:
            self._charge(self._unpaid)
            self._unpaid = 0.0

    async def fail(self, error: Compacted) -> None:
        """Send the reason why the watch ends."""
        self._subscription = None
        await self._response.prepare(self._call.http)
        await self._write(error_frame(from_storage(error)))

    async def end(self) -> web.StreamResponse:
        """End the response completely, with a last bookmark at which the next watch can begin."""
        await self._response.prepare(self._call.http)
        if not self._gone():
            if self.options.bookmarks and self._subscription is not None:
                await self._write(self._frames.bookmark(self._subscription.revision))
            await self._response.write_eof()
        return self._response

    async def _catch_up(self, subscription: Subscription[Change[Entry]]) -> None:
        """Write all waiting changes, as fast as the client reads them."""
        await self._drain()
        while True:
            # changes that are not written yet stay in the history, which is bounded
            changes = subscription.take(AT_ONCE, BYTES)
            if not changes:
                return
            # a cancelled write has already passed its bytes to the transport
            await self._send(self._frames.changes(changes))

    async def _sleep(self, until: float) -> None:
        """Wait until the time `until`, or until `deliver` leaves something to this task."""
        self._woken = woken = self._loop.create_future()
        timer = self._loop.call_at(until, _resolve, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._woken = None

    async def _write(self, frames: bytes) -> None:
        await self._send(self._frames.piece(frames))

    async def _send(self, data: bytes) -> None:
        transport = self._call.http.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if data:
            transport.write(data)
            await self._drain()

    async def _drain(self) -> None:
        transport = self._call.http.transport
        if transport is None or transport.get_write_buffer_size() <= UNPAUSED:
            return
        user = self._call.user.name if self._call.user is not None else ""
        try:
            async with asyncio.timeout(self._timings.slow):
                with self._unread.waiting(user, transport.get_write_buffer_size(), transport.abort):
                    await self._call.http.writer.drain()
        except TimeoutError:
            raise self._cut("the client does not read its watch") from None

    def _cut(self, why: str) -> ConnectionResetError:
        if (transport := self._call.http.transport) is not None:
            transport.abort()
        return ConnectionResetError(why)

    def _next_bookmark(self) -> float:
        return self._loop.time() + self._timings.bookmarks * random.uniform(0.9, 1.1)

    def _gone(self) -> bool:
        transport = self._call.http.transport
        return transport is None or transport.is_closing()


def _resolve(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
