"""Responses: bytes that are encoded already go out as they are, everything else is encoded in the negotiated form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import yaml
from aiohttp import web

from apiserver.endpoints import metadata, table
from apiserver.endpoints.compression import THRESHOLD, Segments, wants_gzip
from apiserver.endpoints.negotiation import YAML, Form
from apiserver.endpoints.yamlloader import resolve_scalars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apiserver.endpoints.call import Call
    from apiserver.registry.entry import Entry
    from apiserver.registry.resource import Resource

__all__ = ["CHUNK", "encode", "headers", "respond", "respond_bytes", "respond_entry", "stream"]

CHUNK = 256 * 1024
"""Bodies above this many bytes go out in pieces of about this size, so that one does not keep the others waiting."""

SEGMENTS = Segments()
"""Of all lists. What is kept is found by its content, so that nobody gets what they may not see."""


def headers(call: Call, form: Form) -> dict[str, str] | list[tuple[str, str]]:
    """The headers of a response; Warning once for each warning of the call."""
    found = {"Content-Type": form.media, "Cache-Control": "no-cache, private"}
    return [*found.items(), *(("Warning", _warning(text)) for text in dict.fromkeys(call.warnings))] if call.warnings else found


def respond(call: Call, form: Form, value: dict[str, Any], *, status: int = 200) -> web.Response:
    """A response of one JSON-shaped value."""
    return web.Response(body=encode(form, value), status=status, headers=headers(call, form))


def respond_bytes(call: Call, form: Form, body: bytes, *, status: int = 200) -> web.Response:
    """A response of one encoded JSON value."""
    return web.Response(body=body if form.raw else encode(form, orjson.loads(body)), status=status, headers=headers(call, form))


def respond_entry(call: Call, form: Form, resource: Resource, entry: Entry, *, status: int = 200) -> web.Response:
    """A response of one stored object: itself, as a table of one row, or its metadata."""
    match form.kind:
        case "Table":
            body = b"".join(table.table(call.query, resource, form.version, [entry], {"resourceVersion": str(entry.revision)}))
        case "PartialObjectMetadata":
            body = metadata.partial(resource, entry, form.version)
        case "PartialObjectMetadataList":
            raise metadata.wrong_form("PartialObjectMetadataList", "the requested object is not a list")
        case _:
            body = entry.json
    return respond_bytes(call, form, body, status=status)


async def stream(call: Call, form: Form, parts: Sequence[bytes]) -> web.StreamResponse:
    """A response of one encoded JSON list in parts: its head, the items with a comma between each two, its end. Compressed when it is
    large and the client takes that. Each piece is written once the client has taken the one before."""
    size, more = sum(map(len, parts)), {}
    if size > THRESHOLD and form.raw and call.http.method != "HEAD" and not call.keeps_answer and wants_gzip(call.http):
        # Other forms are made anew for each request: keeping them would not help the next one.
        parts = await SEGMENTS.gzip(parts[0], parts[1:-1:2], parts[-1], keep=not form.kind)
        size, more = sum(map(len, parts)), {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    if not form.raw or size <= CHUNK or call.http.method == "HEAD":
        whole = respond_bytes(call, form, b"".join(parts))
        whole.headers.update(more)
        return whole
    response = web.StreamResponse(headers=headers(call, form))
    response.headers.update(more)
    response.content_length = size
    if call.keeps_answer:
        call.answer = b"".join(parts)
    await response.prepare(call.http)
    waiting: list[bytes] = []
    length = 0
    for part in parts:
        waiting.append(part)
        length += len(part)
        if length >= CHUNK:
            await response.write(b"".join(waiting))
            waiting, length = [], 0
    await response.write_eof(b"".join(waiting))
    return response


def encode(form: Form, value: Any) -> bytes:
    """A JSON-shaped value in the form's media type."""
    if form.media == YAML:
        return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True).encode()
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE if form.pretty else None)


class _Dumper(yaml.CSafeDumper):
    """Writes no anchors and aliases, which not every reader takes."""

    def ignore_aliases(self, data: object) -> bool:
        """Every value is written out."""
        return True


resolve_scalars(_Dumper)


def _warning(text: str) -> str:
    """RFC 7234 5.5, as k8s.io/apimachinery writes it: code 299, no agent. Header values have no control characters."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return '299 - "' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
