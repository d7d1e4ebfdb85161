"""Create responses: encoded bytes are sent unchanged, other values in the negotiated form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import yaml
from aiohttp import web

from apiserver.handlers.request.negotiation import YAML, Form
from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.request.yamlloader import resolve_scalars
from apiserver.handlers.response import metadata, table
from apiserver.handlers.response.compression import THRESHOLD, Segments, gzipped, wants_gzip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from apiserver.handlers.request.call import Call
    from apiserver.handlers.response.listbody import Parts
    from apiserver.registry.generic.entry import Entry
    from apiserver.registry.generic.resource import Resource

__all__ = ["CHUNK", "encode", "headers", "respond", "respond_bytes", "respond_entry", "stream"]

CHUNK = 256 * 1024
"""The bytes above which bodies are sent in pieces of about this size.

Other requests may have their turn between pieces. Smaller pieces cost more."""

BLOCK, PLAIN = 500, 256 * 1024
"""The values and the bytes up to which YAML is written in block style, at about 50 µs a value.

Larger values are written in flow style, as JSON."""
WARNING, WARNINGS = 256, 4096
"""The characters of one warning if there are many, and of all together, as in kube-apiserver."""

GZIPPED = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
SEGMENTS = Segments()
"""The compressed segments of all lists.

They are found by content, so that no user gets data that the user may not see."""


def headers(call: Call, form: Form) -> dict[str, str] | list[tuple[str, str]]:
    """Return the headers of a response, with one Warning for each warning of the call."""
    found = {"Content-Type": form.media, "Cache-Control": "no-cache, private"}
    return [*found.items(), *(("Warning", text) for text in _warnings(call.warnings))] if call.warnings else found


def respond(call: Call, form: Form, value: dict[str, Any], *, status: int = 200) -> web.Response:
    """Return a response with one JSON-shaped value."""
    body = encode(form, value)
    if call.keeps_answer:
        call.answer = body if form.raw else orjson.dumps(value)
    return _whole(call, form, body, status)


def respond_bytes(call: Call, form: Form, body: bytes, *, status: int = 200) -> web.Response:
    """Return a response with one encoded JSON value."""
    if call.keeps_answer:
        call.answer = body
    return _whole(call, form, body if form.raw else encode(form, orjson.loads(body)), status)


def _whole(call: Call, form: Form, body: bytes, status: int) -> web.Response:
    """Return a response with these bytes, compressed if they are many and the client accepts
    gzip."""
    if len(body) <= THRESHOLD or call.keeps_answer or call.http.method == "HEAD" or not wants_gzip(call.http):
        return web.Response(body=body, status=status, headers=headers(call, form))
    response = web.Response(body=gzipped(body), status=status, headers=headers(call, form))
    response.headers.update(GZIPPED)
    return response


def respond_entry(call: Call, form: Form, resource: Resource, entry: Entry, *, status: int = 200) -> web.Response:
    """Return a response with one stored object: itself, as a table of one row, or its metadata."""
    match form.kind:
        case "Table":
            body = table.table(call.query, resource, form.version, [entry], {"resourceVersion": str(entry.revision)}).join()
        case "PartialObjectMetadata":
            body = metadata.partial(resource, entry, form.version)
        case "PartialObjectMetadataList":
            raise metadata.wrong_form("PartialObjectMetadataList", "the requested object is not a list")
        case _:
            body = entry.json
    return respond_bytes(call, form, body, status=status)


class _Streamed(web.StreamResponse):
    """A response whose headers are sent with the first piece, which saves a TLS record and a system
    call."""

    _send_headers_immediately = False


async def stream(call: Call, form: Form, parts: Parts) -> web.StreamResponse:
    """Send a response with one encoded JSON list, compressed if it is large and the client accepts
    gzip.

    Each piece is written after the client has taken the previous one."""
    http = call.http
    head = http.method == "HEAD"
    if parts.exceeds(THRESHOLD) and form.raw and not head and not call.keeps_answer and wants_gzip(http):
        compressed = await SEGMENTS.gzip(parts.head, parts.items, parts.tail)
        return await _write(call, form, compressed, sum(map(len, compressed)), GZIPPED)
    if not form.raw or head or not parts.exceeds(CHUNK):
        return respond_bytes(call, form, parts.join())
    if call.keeps_answer:
        call.answer = parts.join()
    size = parts.size
    return await _write(call, form, parts.pieces(size // CHUNK), size, {})


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
            await turn.over()
            waiting, length = [], 0
    await response.write_eof(b"".join(waiting))
    return response


def encode(form: Form, value: Any) -> bytes:
    """Return a JSON-shaped value in the form's media type."""
    if form.media == YAML:
        json = orjson.dumps(value)
        if len(json) > PLAIN or json.count(b",") + json.count(b"{") + json.count(b"[") > BLOCK:
            # JSON is YAML, too
            return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True).encode()
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE if form.pretty else None)


class _Dumper(yaml.CSafeDumper):
    """A dumper without anchors and aliases, which not every reader accepts."""

    def ignore_aliases(self, data: object) -> bool:
        """Write out every value."""
        return True


resolve_scalars(_Dumper)


def _warnings(texts: Iterable[str]) -> Iterator[str]:
    """Yield the warnings as header values: shortened, and without those that do not fit."""
    distinct = list(dict.fromkeys(texts))
    whole = sum(map(len, distinct)) <= WARNINGS
    room = WARNINGS
    for text in distinct:
        cut = text if whole else text[:WARNING]
        room -= len(cut)
        if room < 0:
            return
        yield _warning(cut)


def _warning(text: str) -> str:
    """Return a warning in the format of RFC 7234 5.5, as k8s.io/apimachinery writes it.

    The code is 299, and there is no agent. Header values contain no control characters."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return '299 - "' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
