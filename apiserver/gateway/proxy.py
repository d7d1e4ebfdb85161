"""Pass requests on to kube-apiserver, and stream its answers.

Bodies pass in pieces in both directions, so a request takes no more memory than its buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import aiohttp
from aiohttp import ClientResponse, web
from multidict import CIMultiDict

from apiserver.apis.status import ApiError, bad_request
from apiserver.authentication.remote import remote
from apiserver.filters.paths import is_long_running
from apiserver.gateway.headers import check_options, credential, to_client, to_upstream, upgrade_of
from apiserver.gateway.target import Target
from apiserver.gateway.tunnel import connect
from apiserver.gateway.upstream import Upstream
from apiserver.handlers.request.call import Call
from apiserver.handlers.watchers.registry import Watches

SWITCHING = 101


class Proxy:
    """Passes requests to `upstream`. `vouching` returns the headers of front proxies."""

    def __init__(self, upstream: Upstream, vouching: Callable[[], Iterable[str]] = tuple) -> None:
        self._upstream, self._vouching, self._streams = upstream, vouching, Watches()

    def stop(self) -> None:
        """End all watches and other streams of answers cleanly, for the server to stop."""
        self._streams.stop()

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answer with kube-apiserver's answer. Raises ApiError."""
        http = call.http
        headers = headers_of(call, self._vouching())
        upgrade = upgrade_of(http.headers)
        body = http.content if http.can_read_body else None
        if body is not None and http.content_length is not None:
            headers["Content-Length"] = str(http.content_length)
        async with self._upstream.request(http.method, http.raw_path, headers, body) as answer:
            if answer.status != SWITCHING:
                return await self._stream(call, answer)
            if not upgrade:
                raise ApiError(502, "InternalError", "kube-apiserver changed the protocol without being asked")
            return await connect(http, answer)

    async def _stream(self, call: Call, answer: ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=to_client(answer.headers, self._upstream.url))
        endless = is_long_running(call.info)
        if endless:
            # The connection closes with a watch, as with this server's own.
            response.force_close()
        await response.prepare(call.http)
        try:
            with self._streams.running() if endless else nullcontext():
                async for piece in answer.content.iter_any():
                    await response.write(piece)
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            # The missing end tells the client that the answer is incomplete.
            raise ConnectionAbortedError("kube-apiserver broke an answer off") from error
        await response.write_eof()
        return response


def headers_of(call: Call, vouching: Iterable[str]) -> CIMultiDict[str]:
    """Return the headers for kube-apiserver, with the token that was verified."""
    token, in_protocol = credential(call.http.headers)
    assert token, "authentication comes first"
    return to_upstream(
        call.http.headers,
        token,
        in_protocol=in_protocol,
        remote=remote(call.http),
        audit_id=call.audit_id,
        vouching=vouching,
    )


def check_headers(http: web.BaseRequest, target: Target) -> None:
    """Raise ApiError (400) for headers that do not fit the target, or that hide others."""
    check_options(http.headers)
    credential(http.headers)
    if not upgrade_of(http.headers):
        return
    if not target.upgrades:
        raise bad_request("this request cannot be upgraded to another protocol: only exec, attach, portforward, proxy and watches can")
    if http.content_length or "Transfer-Encoding" in http.headers:
        raise bad_request("a request that is upgraded to another protocol has no body")
