"""The request's audit ID: the front proxy's, or a new one; in every answer, and beside what is logged about the request.

It is left in the HTTP request under KEY; the HTTP server puts it into the headers of the response when these go out, which
for streamed ones is long before the handler returns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from apiserver.apis.uid import new_uid

if TYPE_CHECKING:
    from apiserver.handlers.request.call import Call, Handler

__all__ = ["HEADER", "KEY", "with_audit_id"]

HEADER = "Audit-ID"
KEY = web.RequestKey("audit-id", str)
# What comes in goes into logs and headers: nothing but the characters of names, and not longer than kube-apiserver takes it.
ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def with_audit_id(handler: Handler) -> Handler:
    """Sets call.audit_id."""

    async def handle(call: Call) -> web.StreamResponse:
        given = call.http.headers.get(HEADER, "")
        call.audit_id = given if ACCEPTED.fullmatch(given) else new_uid()
        call.http[KEY] = call.audit_id
        return await handler(call)

    return handle
