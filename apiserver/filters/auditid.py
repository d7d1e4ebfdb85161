"""The request's audit ID: the front proxy's, or a new one; in every answer, and beside what is logged about the request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.endpoints.call import Call, Handler

__all__ = ["HEADER", "with_audit_id"]

HEADER = "Audit-ID"
# What comes in goes into logs and headers: nothing but the characters of names, and not longer than kube-apiserver takes it.
ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def with_audit_id(handler: Handler) -> Handler:
    """Sets call.audit_id, and the header on answers that have not begun (a streamed one sets it itself)."""

    async def handle(call: Call) -> web.StreamResponse:
        given = call.http.headers.get(HEADER, "")
        if ACCEPTED.fullmatch(given):
            call.audit_id = given
        response = await handler(call)
        if not response.prepared:
            response.headers[HEADER] = call.audit_id
        return response

    return handle
