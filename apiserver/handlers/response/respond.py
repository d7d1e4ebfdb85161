"""Create responses: encoded bytes are sent unchanged, other values in the negotiated form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import yaml
from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import YAML, Form
from apiserver.handlers.request.yamlloader import resolve_scalars
from apiserver.handlers.response import metadata, table
from apiserver.handlers.response.compression import GZIPPED, THRESHOLD, gzipped, wants_gzip
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Resource

BLOCK, PLAIN = 500, 256 * 1024
"""The numbers of values and of bytes up to which YAML is written in block style, at about 50 µs a
value.

Larger values are written in flow style, as JSON."""
WARNING, WARNINGS = 256, 4096
"""The largest numbers of characters of one warning among many, and of all, as in kube-apiserver."""


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
            body = table.table(call.query, resource, form.version, [entry], {"resourceVersion": str(entry.revision)})
        case "PartialObjectMetadata":
            body = metadata.partial(resource, entry, form.version)
        case "PartialObjectMetadataList":
            raise metadata.wrong_form("PartialObjectMetadataList", "the requested object is not a list")
        case _:
            body = entry.json
    return respond_bytes(call, form, body, status=status)


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
