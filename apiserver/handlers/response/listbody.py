"""Encode, compress and send lists efficiently, with one interface for the verbs.

The items are encoded once for each write of an object, and joined only when they are sent. Between
pieces, other requests get their turns (request.timebudget). Rows of tables (rows) and compressed
segments (compression) are cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import Form
from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.response import metadata, table
from apiserver.handlers.response.compression import GZIPPED, THRESHOLD, Segments, wants_gzip
from apiserver.handlers.response.respond import headers, respond_bytes
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Resource

CHUNK = 256 * 1024
"""The bytes above which bodies are sent in pieces of about this size.

Other requests may have their turn between pieces. Smaller pieces cost more."""
SEGMENTS = Segments()
"""The compressed segments of all lists.

Their keys are hashes of the content, so no user gets data that the user may not see."""


class ListBody(NamedTuple):
    """An encoded list: `head`, the items, between which commas are inserted, and `tail`."""

    head: bytes
    items: Sequence[bytes]
    tail: bytes = b"]}"

    @classmethod
    async def of(cls, form: Form, resource: Resource, entries: Sequence[Entry], meta: dict[str, Any], query: Mapping[str, str]) -> ListBody:
        """Return the list of these objects in the requested form. `meta` is its ListMeta."""
        match form.kind:
            case "":
                # lists of custom resources always have `continue`
                head = _opened(f"{resource.kind}List", resource.api_version, {**meta, "continue": meta.get("continue", "")})
                return cls(head, [entry.json for entry in entries])
            case "Table":
                return cls(table.opened(resource, form.version, meta), await table.rows_of_many(query, resource, form.version, entries))
            case "PartialObjectMetadata":
                raise metadata.wrong_form(form.kind, "the requested object is a list")
        items, turn = [], TURNS.begin()
        for entry in entries:
            items.append(metadata.partial(resource, entry, form.version))
            await turn.checkpoint()
        return cls(_opened(form.kind, f"meta.k8s.io/{form.version}", meta), items)

    async def send(self, call: Call, form: Form) -> web.StreamResponse:
        """Send the response, compressed if it is large and the client accepts gzip.

        Each piece is written after the client has taken the previous one. To indent a large list
        would hold the event loop, so YAML and pretty JSON of more than CHUNK bytes are JSON without
        white space."""
        head, large = call.http.method == "HEAD", self.exceeds(CHUNK)
        if self.exceeds(THRESHOLD) and (form.raw or large) and not head and not call.keeps_answer and wants_gzip(call.http):
            compressed = await SEGMENTS.gzip(*self)
            return await _write(call, form, compressed, sum(map(len, compressed)), GZIPPED)
        if not large:
            return respond_bytes(call, form, self.join())
        if head:
            return web.Response(body=self.join(), headers=headers(call, form))
        if call.keeps_answer:
            call.answer = self.join()
        size = self.size
        return await _write(call, form, self.pieces(size // CHUNK), size, {})

    @property
    def size(self) -> int:
        """Return the number of bytes of the joined list."""
        return len(self.head) + sum(map(len, self.items)) + max(len(self.items) - 1, 0) + len(self.tail)

    def exceeds(self, size: int) -> bool:
        """Return whether the list has more than `size` bytes. Examines no more items than
        necessary."""
        left = size - len(self.head) - len(self.tail) - max(len(self.items) - 1, 0)
        for item in self.items:
            left -= len(item)
            if left < 0:
                return True
        return left < 0

    def join(self) -> bytes:
        """Return the whole list."""
        return b"".join((self.head, b",".join(self.items), self.tail))

    def pieces(self, count: int) -> Iterator[bytes]:
        """Yield the whole list in order: the head, the items in about `count` pieces, the tail."""
        items = self.items
        step = max(1, -(-len(items) // max(count, 1)))
        if self.head:
            yield self.head
        for start in range(0, len(items), step):
            # An empty item at the end adds the comma before the next piece without copying this
            # one.
            yield b",".join([*items[start : start + step], b""] if start + step < len(items) else items[start : start + step])
        if self.tail:
            yield self.tail


def _opened(kind: str, version: str, meta: dict[str, Any]) -> bytes:
    return orjson.dumps({"kind": kind, "apiVersion": version, "metadata": meta})[:-1] + b',"items":['


class _Streamed(web.StreamResponse):
    """A response whose headers are sent with the first piece, which saves a TLS record and a system
    call."""

    _send_headers_immediately = False


async def _write(call: Call, form: Form, pieces: Iterable[bytes], size: int, more: dict[str, str]) -> web.StreamResponse:
    """Write the pieces, joining small ones. `size` is the bytes of all pieces; `more` are
    headers."""
    if size <= CHUNK:
        whole = web.Response(body=b"".join(pieces), headers=headers(call, form))
        whole.headers.update(more)
        return whole
    response = _Streamed(headers=headers(call, form))
    response.headers.update(more)
    response.content_length = size
    await response.prepare(call.http)
    waiting: list[bytes] = []
    length, turn = 0, TURNS.begin()
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= CHUNK // 2:
            await response.write(b"".join(waiting))
            await turn.checkpoint()
            waiting, length = [], 0
    await response.write_eof(b"".join(waiting))
    return response
