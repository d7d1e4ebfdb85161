"""Serve OpenAPI in JSON: /openapi/v3 with a document per group and version, and /openapi/v2.

Documents are created at the first request, because most servers need them only once. Clients
may cache a v3 document that is named by its hash forever.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import cached_property
from time import time

from aiohttp import web

from apiserver.apis.status import not_acceptable
from apiserver.handlers.discovery.documents import Document
from apiserver.handlers.discovery.openapi_document import document_v2, document_v3
from apiserver.handlers.discovery.version import Version
from apiserver.handlers.request.call import Call, Handler
from apiserver.handlers.request.negotiation import JSON, Form, clauses
from apiserver.registry.generic.resource import Resource

YEAR = 365 * 86400


class OpenAPI:
    """The OpenAPI documents of these resources."""

    def __init__(self, resources: Sequence[Resource], version: Version) -> None:
        self._resources, self._version = tuple(resources), version
        self._by_path: dict[str, list[Resource]] = {}
        for resource in resources:
            path = f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
            self._by_path.setdefault(path, []).append(resource)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by path."""
        return {
            "/openapi/v2": self._serve_v2,
            "/openapi/v3": self._serve_index,
            **{f"/openapi/v3/{path}": self._serve_v3(path) for path in self._by_path},
        }

    @cached_property
    def _v2(self) -> Document:
        return Document(document_v2(self._resources, self._version.git_version))

    @cached_property
    def _v3(self) -> dict[str, Document]:
        return {path: Document(document_v3(found, self._version.git_version)) for path, found in self._by_path.items()}

    @cached_property
    def _index(self) -> Document:
        paths = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={document.hash}"} for path, document in self._v3.items()}
        return Document({"paths": paths})

    async def _serve_v2(self, call: Call) -> web.StreamResponse:
        require_json(call)
        return self._v2.respond(call, Form())

    async def _serve_index(self, call: Call) -> web.StreamResponse:
        # The answer is JSON for every client. kube-apiserver, too, answers clients that prefer
        # protobuf like this.
        return self._index.respond(call, Form())

    def _serve_v3(self, path: str) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            require_json(call)
            document, wanted = self._v3[path], call.query.get("hash", "")
            if not wanted:
                return document.respond(call, Form())
            if wanted != document.hash:
                return document.elsewhere(f"/openapi/v3/{path}?hash={document.hash}")
            return document.respond(call, Form(), headers=forever())

        return handle


def forever() -> dict[str, str]:
    """Return the headers of a document that is named by its hash."""
    return {"Cache-Control": "public, immutable", "Expires": formatdate(time() + YEAR, usegmt=True)}


def require_json(call: Call) -> None:
    """Raise ApiError (406) for a client that accepts only protobuf."""
    header = ", ".join(call.http.headers.getall("Accept", ()))
    if header and not any(clause.media in (JSON, "application/*", "*/*") for clause in clauses(header)):
        raise not_acceptable([JSON])
