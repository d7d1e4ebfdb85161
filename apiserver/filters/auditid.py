"""Give each request an audit ID: the front proxy's, or a new one.

It is part of every answer, and of log messages about the request. The filter stores it in the HTTP
request under KEY. The HTTP server adds it to the headers of the response when it sends them, which
for streams is long before the handler returns.
"""

from __future__ import annotations

import re

from aiohttp import web

from apiserver.apis.uid import new_uid
from apiserver.handlers.request.call import Call, Handler

HEADER = "Audit-ID"
KEY = web.RequestKey("audit-id", str)
# The value appears in logs and headers, so only characters of names are accepted, and not more than
# in kube-apiserver.
ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def with_audit_id(handler: Handler) -> Handler:
    """Set call.audit_id."""

    async def handle(call: Call) -> web.StreamResponse:
        given = call.http.headers.get(HEADER, "")
        call.audit_id = given if ACCEPTED.fullmatch(given) else new_uid()
        call.http[KEY] = call.audit_id
        return await handler(call)

    return handle
