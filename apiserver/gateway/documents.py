"""Serve kube-apiserver's documents of discovery and OpenAPI with the view's kinds in them.

Each request to kube-apiserver has the caller's own credentials, so kube-apiserver decides whether
the caller may read the document. Merged documents are cached with kube-apiserver's ETag, so an
unchanged document is neither sent nor merged again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import ClientResponse, web
from multidict import CIMultiDict

from apiserver.apis.bounded import Bounded
from apiserver.apis.status import ApiError
from apiserver.gateway import merge
from apiserver.gateway.headers import to_client
from apiserver.gateway.proxy import headers_of
from apiserver.gateway.upstream import Upstream
from apiserver.handlers.discovery.discovery import AGGREGATED, choose
from apiserver.handlers.discovery.documents import Document
from apiserver.handlers.discovery.openapi import forever, require_json
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import JSON, Form
from apiserver.handlers.response.compression import GZIPPED, THRESHOLD, gzipped, wants_gzip
from apiserver.registry.generic.resource import Resource

LARGEST = 64 * 1024 * 1024
"""The largest number of bytes of a document of kube-apiserver."""
KEPT = 32 * 1024 * 1024
"""The largest number of bytes of all cached documents together."""
READERS = 4
"""The largest number of documents that are read and merged at the same time."""
INDEX = "/openapi/v3"
CONDITIONAL = ("If-None-Match", "If-Modified-Since", "Range", "Accept", "Accept-Encoding", "Upgrade", "Connection")
"""Headers that are about the client's own copy of a document."""


@dataclass(frozen=True, slots=True)
class _Merged:
    """A merged document, with the ETag and the digest of kube-apiserver's document."""

    etag: str
    digest: bytes
    document: Document


class Documents:
    """The documents with these kinds, which are of one group and version.

    Discovery shows them once: not in `view_group`, where kube-apiserver has them."""

    def __init__(
        self, upstream: Upstream, kinds: Sequence[Resource], view_group: str, vouching: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._upstream, self._kinds, self._view_group, self._vouching = upstream, tuple(kinds), view_group, vouching
        self._kept: Bounded[tuple[str, str], _Merged] = Bounded(KEPT)
        self._reading = asyncio.Semaphore(READERS)
        self._own = hashlib.sha512(orjson.dumps(merge.openapi_v3(None, kinds[0].version, kinds))).hexdigest()

    async def handle(self, call: Call, path: str) -> web.StreamResponse:
        """Answer GET of the document at `path`. Raises ApiError."""
        if path.startswith("/openapi/"):
            if path != INDEX:
                require_json(call)
            found = await self._merged(call, path)
            return found if isinstance(found, web.Response) else await _named(call, path, found.document)
        form, version = choose(call, AGGREGATED if path == "/apis" else ())
        found = await self._merged(call, path, version)
        if isinstance(found, web.Response):
            return found
        if not version:
            return found.document.respond(call, form)
        media = f"{form.media};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return await _compressed(call, found.document.respond(call, form, media=media, headers={"Cache-Control": "public"}))

    async def _merged(self, call: Call, path: str, version: str = "") -> _Merged | web.Response:
        """Return the merged document, or kube-apiserver's refusal."""
        hash = ""
        if path == INDEX:
            own = await self._merged(call, f"{INDEX}/apis/{self._kinds[0].api_version}")
            if isinstance(own, web.Response):
                return own
            hash = own.document.hash
        known = self._kept.get((path, version))
        headers = self._headers(call, version, known)
        async with self._upstream.request("GET", path, headers) as answer:
            if answer.status == 304 and known is not None:
                return known
            # Only reading is limited, because kube-apiserver may delay its answer to one caller.
            async with self._reading:
                return await self._read_and_merged(answer, path, (path, version), hash)

    async def _read_and_merged(self, answer: ClientResponse, path: str, key: tuple[str, str], hash: str) -> _Merged | web.Response:
        known, body = self._kept.get(key), await _read(answer)
        if answer.status not in (200, 404) or (answer.status == 404 and not self._is_own(path)):
            kept = to_client(answer.headers, self._upstream.url)
            kept.popall("Content-Length", None)
            return web.Response(status=answer.status, body=body, headers=kept)
        etag, digest = answer.headers.get("ETag", ""), hashlib.sha256(body).digest()
        if known is None or known.digest != digest:
            source = body if answer.status == 200 else b""
            known = _Merged(etag, digest, await asyncio.to_thread(self._made, path, source, etag, hash))
            self._kept.put(key, known, known.document.size)
        return known

    def _headers(self, call: Call, version: str, known: _Merged | None) -> CIMultiDict[str]:
        headers = headers_of(call, self._vouching())
        for name in CONDITIONAL:
            headers.popall(name, None)
        headers["Accept-Encoding"], headers["Accept"] = "identity", _accept(version)
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        return headers

    def _made(self, path: str, body: bytes, etag: str, hash: str) -> Document:
        """Return the merged document. `hash` is that of this server's own document, for the
        index."""
        kinds, found = self._kinds, _decoded(body) if body else None
        *_, last = parts = path.split("/")[1:]
        match parts:
            case ["openapi", "v2"]:
                return Document(merge.openapi_v2(found or {}, kinds))
            case ["openapi", "v3"]:
                return Document(merge.openapi_index(found or {}, hash, kinds))
            case ["openapi", *_]:
                named = hashlib.sha512((etag + self._own).encode()).hexdigest().upper()
                return Document(merge.openapi_v3(found, last, kinds), named)
            case ["apis"]:
                if (found or {}).get("kind") == "APIGroupDiscoveryList":
                    return Document(merge.discovery_list(found or {}, kinds, self._view_group))
                return Document(merge.group_list(found or {}, kinds))
            case ["apis", group, _] if group == self._view_group:
                return Document(merge.without_kinds(found or {}, kinds))
            case ["apis", _]:
                return Document(merge.group(found, kinds))
        return Document(merge.resources(found, last, kinds))

    def _is_own(self, path: str) -> bool:
        """Return whether the document exists even if kube-apiserver has none."""
        return path.removeprefix(INDEX) in (f"/apis/{self._kinds[0].group}", f"/apis/{self._kinds[0].api_version}")


def _accept(version: str) -> str:
    if not version:
        return JSON
    return f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList, {JSON}"


async def _named(call: Call, path: str, document: Document) -> web.Response:
    """Return a document of OpenAPI, which the client may keep forever if it names the hash."""
    wanted = call.query.get("hash", "") if path.startswith(f"{INDEX}/") else ""
    if wanted and wanted != document.hash:
        return document.elsewhere(f"{path}?hash={document.hash}")
    return await _compressed(call, document.respond(call, Form(), headers=forever() if wanted else None))


async def _compressed(call: Call, response: web.Response) -> web.Response:
    body = response.body
    if isinstance(body, bytes) and len(body) > THRESHOLD and call.http.method == "GET" and wants_gzip(call.http):
        response.body = await asyncio.to_thread(gzipped, body)
        response.headers.update({**GZIPPED, "Vary": "Accept, Accept-Encoding"})
    return response


async def _read(answer: ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > LARGEST:
            raise ApiError(502, "InternalError", f"kube-apiserver's document has more than {LARGEST} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError(502, "InternalError", "kube-apiserver's document is not a JSON object")
    return found
