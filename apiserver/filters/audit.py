"""Record each request, its user and the outcome, in the stages of kube-apiserver's audit.

There are two filters: one inside authentication for every request, and one around it for refused
requests. Filters only collect; the audit log encodes and writes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from typing import Any, Protocol

import orjson
from aiohttp import web

from apiserver.apis.status import ApiError, internal, timeout
from apiserver.audit.event import METADATA, REQUEST, RESPONSE, Record, Sent, noted
from apiserver.audit.policy import Policy, Recording
from apiserver.filters.paths import is_long_running
from apiserver.handlers.request.call import Call, Filter, Handler
from apiserver.handlers.response.errors import from_storage
from storage.base import StorageError

# RequestKey accepts only classes, and the type of a callable is none.
STARTED: web.RequestKey[Callable[[int], None]] = web.RequestKey("audit-started", object)  # type: ignore[arg-type] # no class
"""The key in the HTTP request for a function that the HTTP server calls with the status code.

The server calls it when it sends the headers of the response."""
AGENT = 1024
"""The largest number of recorded characters of a user agent."""
HOPS = 32
"""The number of addresses of X-Forwarded-For that are read."""
STATUS = b'{"kind":"Status"'
CLOSED = {"status": "Failure", "message": "Connection closed early", "code": 499}


class Sink(Protocol):
    """Receives records, and never blocks."""

    def put(self, record: Record) -> None:
        """Record one stage of one request."""


class Auditor:
    """The audit policy, and the sink for its records."""

    def __init__(self, policy: Policy, sink: Sink, clock: Callable[[], float] = time.time) -> None:
        self.policy, self.sink, self.clock = policy, sink, clock

    def trail(self, call: Call) -> _Trail | None:
        """Return the trail of a request with `info` and `user`, or None if the policy does not
        record it."""
        recording = self.policy.recording(call.user, call.info)
        return _Trail(self, call, recording) if recording is not None else None


def with_audit(auditor: Auditor | None) -> Filter:
    """Record all requests that pass.

    Place it directly behind authentication, so that refusals by later filters are recorded too."""

    def wrap(handler: Handler) -> Handler:
        if auditor is None:
            return handler

        async def handle(call: Call) -> web.StreamResponse:
            trail = auditor.trail(call)
            return await handler(call) if trail is None else await trail.follow(handler)

        return handle

    return wrap


def with_refusals_audited(auditor: Auditor | None) -> Filter:
    """Record the requests that authentication refuses. Place it around authentication."""

    def wrap(handler: Handler) -> Handler:
        if auditor is None:
            return handler

        async def handle(call: Call) -> web.StreamResponse:
            try:
                return await handler(call)
            except ApiError as error:
                trail = auditor.trail(call) if call.user is None else None
                if trail is not None:
                    trail.record("ResponseStarted", {"message": _attempted(call), "code": error.code})
                raise

        return handle

    return wrap


class _Trail:
    """The records of one request."""

    def __init__(self, auditor: Auditor, call: Call, recording: Recording) -> None:
        self._auditor, self._call, self._recording = auditor, call, recording
        self._user, self._received = call.user, auditor.clock()
        self._sources = sources(call)
        self._started = False
        self._sent: Sent | None = None

    async def follow(self, handler: Handler) -> web.StreamResponse:
        """Handle the request and record its stages."""
        call, self._call.keeps_answer = self._call, self._recording.level >= RESPONSE
        if self._recording.level >= REQUEST or call.info.verb in ("create", "update"):
            call.note = self._note
        self.record("RequestReceived")
        if is_long_running(call.info):
            call.http[STARTED] = self._start
        try:
            response = await handler(call)
        except (asyncio.CancelledError, ConnectionError) as error:
            self._end("ResponseComplete", self._cut(error))
            raise
        except (ApiError, StorageError) as error:
            seen = error if isinstance(error, ApiError) else from_storage(error)
            self._fail("ResponseComplete", seen)
            raise
        except Exception:
            self._fail("Panic", internal())
            raise
        self._end("ResponseComplete", {"code": response.status}, self._answer(response))
        return response

    def record(self, stage: str, status: dict[str, Any] | None = None, answer: bytes = b"") -> None:
        """Record a stage, unless the policy omits it."""
        recording, call = self._recording, self._call
        if stage in recording.omit_stages:
            return
        level = recording.level
        annotations = {**call.annotations, **(call.details if level >= REQUEST else {})}
        record = Record(
            level=level,
            audit_id=call.audit_id,
            stage=stage,
            uri=call.http.rel_url.raw_path_qs,
            info=call.info,
            user=self._user,
            impersonated=call.user if call.user is not self._user else None,
            sources=self._sources,
            agent=_agent(call),
            received=self._received,
            now=self._auditor.clock(),
            status=status,
            sent=self._sent,
            answer=answer,
            annotations=annotations,
            omit_managed_fields=recording.omit_managed_fields,
        )
        self._auditor.sink.put(record)

    def _note(self, value: Any) -> None:
        self._sent = noted(value, self._recording.level, omit_managed_fields=self._recording.omit_managed_fields)

    def _start(self, code: int) -> None:
        """Record the beginning of a watch, which may last for an hour.

        It is recorded once, although the headers of a refusal are sent after its end is
        recorded."""
        if not self._started:
            self._started = True
            self.record("ResponseStarted", {"code": code})

    def _fail(self, stage: str, error: ApiError) -> None:
        status = error.status()
        bounded: dict[str, Any] = {key: status[key] for key in ("status", "message", "reason", "details", "code") if key in status}
        self._end(stage, bounded, orjson.dumps(status) if self._recording.level >= RESPONSE else b"")

    def _end(self, stage: str, status: dict[str, Any], answer: bytes = b"") -> None:
        if is_long_running(self._call.info) and stage == "ResponseComplete":
            self._start(status["code"])
        self.record(stage, status, answer)

    def _cut(self, error: BaseException) -> dict[str, Any]:
        deadline = self._call.deadline
        if isinstance(error, asyncio.CancelledError) and deadline is not None and asyncio.get_running_loop().time() >= deadline:
            late = timeout("request did not complete within the allotted timeout")
            return {"status": "Failure", "message": late.message, "reason": late.reason, "code": late.code}
        return dict(CLOSED)

    def _answer(self, response: web.StreamResponse) -> bytes:
        """Return the response's body if it is to be recorded or is a Status. A watch has none."""
        if is_long_running(self._call.info):
            return b""
        body = self._call.answer or (response.body if isinstance(response, web.Response) else b"")
        if not isinstance(body, bytes):
            return b""
        return body if self._recording.level >= RESPONSE or (self._recording.level >= METADATA and body.startswith(STATUS)) else b""


def sources(call: Call) -> list[str]:
    """Return the client's addresses as proxies report them, and last the address of the
    connection."""
    headers = call.http.headers
    peer = call.http.transport.get_extra_info("peername") if call.http.transport is not None else None
    addresses = [*headers.get("X-Forwarded-For", "").split(",", HOPS)[:HOPS], headers.get("X-Real-Ip", ""), str(peer[0]) if peer else ""]
    return list(dict.fromkeys(address for text in addresses if (address := _address(text.strip()))))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _agent(call: Call) -> str:
    text = call.http.headers.get("User-Agent", "")
    return text if len(text) <= AGENT else f"{text[:AGENT]}...TRUNCATED"


def _attempted(call: Call) -> str:
    """Return the authentication methods that an unknown client tried, never the credentials."""
    methods = []
    scheme, _, rest = call.http.headers.get("Authorization", "").strip().partition(" ")
    if rest and scheme.lower() in ("basic", "bearer"):
        methods.append(scheme.lower())
    transport = call.http.transport
    if transport is not None and transport.get_extra_info("peercert"):
        methods.append("x509")
    return f"Authentication failed, attempted: {', '.join(methods)}" if methods else "Authentication failed, no credentials provided"
