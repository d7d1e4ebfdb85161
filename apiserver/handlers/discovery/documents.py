"""Serve documents that never change while the server runs: encoded once, with an ETag."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import JSON, YAML, Form
from apiserver.handlers.response.respond import encode


class Document:
    """One JSON value. `hash` identifies its content; it is computed unless it is given."""

    def __init__(self, value: dict[str, Any], hash: str = "") -> None:
        self._bodies = {JSON: orjson.dumps(value)}
        self.hash = hash or hashlib.sha512(self._bodies[JSON]).hexdigest().upper()

    @property
    def size(self) -> int:
        """Return the bytes of the document in all requested forms."""
        return sum(map(len, self._bodies.values()))

    def respond(self, call: Call, form: Form, *, media: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
        """Answer 200 with the document, or 304 if the client has it.

        `media` is the Content-Type if it differs from the form's."""
        wanted = {**self._headers, **(headers or {})}
        if _has(call.http.headers.get("If-None-Match", ""), wanted["ETag"]):
            return web.Response(status=304, headers=wanted)
        return web.Response(body=self._body(form), headers={**wanted, "Content-Type": media or form.media})

    def elsewhere(self, location: str) -> web.Response:
        """Answer 301: the document is at another path."""
        return web.Response(status=301, headers={**self._headers, "Location": location})

    @property
    def _headers(self) -> dict[str, str]:
        return {"ETag": f'"{self.hash}"', "Vary": "Accept", "Cache-Control": "no-cache, private"}

    def _body(self, form: Form) -> bytes:
        if form.pretty:
            return encode(form, orjson.loads(self._bodies[JSON]))
        if form.media == YAML and YAML not in self._bodies:
            self._bodies[YAML] = encode(form, orjson.loads(self._bodies[JSON]))
        return self._bodies[form.media]


def _has(header: str, etag: str) -> bool:
    given = [part.strip().removeprefix("W/") for part in header.split(",")]
    return etag in given or "*" in given
