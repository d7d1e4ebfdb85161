"""WATCH: a stream of frames that ends by timeoutSeconds, by the client, or when the server stops.

A watch holds a place in the collection's history and nothing else. A client that does not read is cut; one that falls
behind the history, or asks for what is gone, gets an ERROR event with 410 and lists anew.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from aiohttp import web

from apiserver.endpoints.errors import from_storage
from apiserver.endpoints.frames import INITIAL_EVENTS_END, Frames, error_frame
from apiserver.endpoints.list import prefix_of
from apiserver.endpoints.metadata import wrong_form
from apiserver.endpoints.negotiation import negotiate
from apiserver.endpoints.options import ListOptions, list_options
from apiserver.endpoints.respond import CHUNK, headers
from apiserver.endpoints.scope import fresh
from storage.base import Compacted, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.endpoints.call import Call
    from apiserver.endpoints.scope import Scope
    from apiserver.registry.entry import Entry
    from storage.cache import Change, Subscription

__all__ = ["watch"]

BOOKMARKS = 60.0
"""Seconds between two bookmarks, about."""
SHORTEST, LONGEST = 1800.0, 3600.0
"""Seconds of a watch whose client names no timeout: at random, so that not all come back at once."""
COALESCE = 0.015
"""Seconds between two batches of one watch. The first event after a pause goes out at once."""
UNPAUSED = 16 * 1024
"""Bytes in a transport's buffer up to which it never asks to wait (the low-water mark of asyncio and uvloop)."""
SLOW = 30.0
"""Seconds that a client may take to make room for a piece."""


async def watch(call: Call, scope: Scope) -> web.StreamResponse:
    """The changes of a namespace or of all, as the selectors see them."""
    form = negotiate(call, watch=True)
    if form.kind == "PartialObjectMetadataList":
        raise wrong_form(form.kind, "the requested object is not a list")
    options = list_options(call.query, scope.resource, watch=True)
    prefix = prefix_of(scope, call.info, options.selector)
    frames = Frames(scope.resource, form, prefix, options.selector, call.query, scope.memo)
    initial = await _prepare(scope, options)
    response = web.StreamResponse(headers=headers(call, form))
    stream = _Stream(call, response, frames, options)
    with scope.watches.running():
        if not scope.watches.stopping:
            await _serve(scope, stream, initial, prefix)
    return await stream.end()


async def _prepare(scope: Scope, options: ListOptions) -> bool:
    """Wait until the state is as new as wanted. Returns whether the watch begins with the objects that there are."""
    await fresh(scope, options.revision)
    return not options.revision if options.initial_events is None else options.initial_events


async def _serve(scope: Scope, stream: _Stream, initial: bool, prefix: str) -> None:
    collection = scope.registry.collection
    # Nothing is awaited between the look at the objects and the subscription: no change is lost or doubled.
    entries = collection.range(prefix) if initial else []
    revision = collection.revision
    try:
        subscription = collection.subscribe(revision if initial else stream.options.revision or revision)
    except Compacted as error:
        await stream.fail(error)
        return
    try:
        await stream.begin(entries, revision if initial else 0)
        await stream.follow(subscription)
    except Compacted as error:
        await stream.fail(error)
    except Unavailable:
        pass  # the storage is being closed: the client comes back, here or to another replica
    finally:
        subscription.close()


class _Stream:
    """One watch's response."""

    def __init__(self, call: Call, response: web.StreamResponse, frames: Frames, options: ListOptions) -> None:
        self.options = options
        self._call, self._response, self._frames = call, response, frames
        self._clock = asyncio.get_running_loop().time
        self._end = self._clock() + (options.timeout or random.uniform(SHORTEST, LONGEST))
        self._revision = 0

    async def begin(self, entries: Iterable[Entry], revision: int) -> None:
        """Send the headers, so that the client knows that it watches, and the initial events with their bookmark."""
        await self._response.prepare(self._call.http)
        waiting: list[bytes] = []
        size = 0
        for frame in self._frames.initial(entries):
            waiting.append(frame)
            size += len(frame)
            if size >= CHUNK:
                await self._write(b"".join(waiting))
                waiting, size = [], 0
        if self.options.initial_events and self.options.bookmarks:
            waiting.append(self._frames.bookmark(revision, INITIAL_EVENTS_END))
        await self._write(b"".join(waiting))

    async def follow(self, subscription: Subscription[Change[Entry]]) -> None:
        """Send changes and bookmarks until the time is over. Raises Compacted, Unavailable."""
        clock, bookmarks = self._clock, self.options.bookmarks
        self._revision = subscription.revision
        bookmark, written = clock() + BOOKMARKS * random.uniform(0.9, 1.1), 0.0
        while (now := clock()) < self._end:
            changes = await subscription.next(min(bookmark, self._end) - now)
            if changes:
                pause = written + COALESCE - clock()
                if pause > 0:
                    await asyncio.sleep(pause)
                    changes += subscription.take()  # goes out in the same piece
                written = clock()
            self._revision = subscription.revision  # now: a write that is cancelled has handed its bytes over already
            if changes:
                await self._write(self._frames.changes(changes))
            if clock() >= bookmark:
                if self._gone():
                    return
                bookmark = clock() + BOOKMARKS * random.uniform(0.9, 1.1)
                if bookmarks:
                    await self._write(self._frames.bookmark(self._revision))

    async def fail(self, error: Compacted) -> None:
        """Tell why the watch ends."""
        self._revision = 0
        await self._response.prepare(self._call.http)
        await self._write(error_frame(from_storage(error)))

    async def end(self) -> web.StreamResponse:
        """End the response as a whole one, with a last bookmark so that the next watch begins where this one ended."""
        await self._response.prepare(self._call.http)
        if not self._gone():
            if self.options.bookmarks and self._revision:
                await self._write(self._frames.bookmark(self._revision))
            await self._response.write_eof()
        return self._response

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        transport = self._call.http.transport
        if transport is not None and transport.get_write_buffer_size() + len(data) <= UNPAUSED:
            await self._response.write(data)  # cannot have to wait
            return
        try:
            async with asyncio.timeout(SLOW):
                await self._response.write(data)
        except TimeoutError:
            if transport is not None:
                transport.abort()
            raise ConnectionResetError("the client does not read its watch") from None

    def _gone(self) -> bool:
        transport = self._call.http.transport
        return transport is None or transport.is_closing()
