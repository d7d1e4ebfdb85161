"""Audit: who asked for what, and how it ended, by stages as kube-apiserver records them.

Two filters: one behind authentication for every request, and one around it for those that were not let in. Each only notes; encoding
and writing are the audit log's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from aiohttp import web

from apiserver.apis.status import ApiError, internal, timeout
from apiserver.audit.event import METADATA, REQUEST, RESPONSE, Record, Sent, noted
from apiserver.filters.paths import is_long_running
from apiserver.handlers.response.errors import from_storage
from storage.base import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.audit.policy import Policy, Recording
    from apiserver.handlers.request.call import Call, Filter, Handler

__all__ = ["STARTED", "Auditor", "Sink", "with_audit", "with_refusals_audited"]

# A callable's type cannot be given as a class.
STARTED: web.RequestKey[Callable[[int], None]] = web.RequestKey("audit-started", object)  # type: ignore[arg-type]
"""Left in the HTTP request; the HTTP server calls it with the status code when the headers of the response go out."""
AGENT = 1024
"""Characters of a user agent that are kept."""
HOPS = 32
"""Addresses of X-Forwarded-For that are looked at."""
STATUS = b'{"kind":"Status"'
CLOSED = {"status": "Failure", "message": "Connection closed early", "code": 499}


class Sink(Protocol):
    """Takes records, without ever blocking."""

    def put(self, record: Record) -> None:
        """One stage of one request."""


class Auditor:
    """What is recorded, and where it goes."""

    def __init__(self, policy: Policy, sink: Sink, clock: Callable[[], float] = time.time) -> None:
        self.policy, self.sink, self.clock = policy, sink, clock

    def trail(self, call: Call) -> _Trail | None:
        """Of a request whose `info` and `user` are known; None when nothing of it is recorded."""
        recording = self.policy.recording(call.user, call.info)
        return _Trail(self, call, recording) if recording is not None else None


def with_audit(auditor: Auditor | None) -> Filter:
    """Records all that comes behind it. Stands right behind authentication: refusals by other filters are recorded, too."""

    def wrap(handler: Handler) -> Handler:
        if auditor is None:
            return handler

        async def handle(call: Call) -> web.StreamResponse:
            trail = auditor.trail(call)
            return await handler(call) if trail is None else await trail.follow(handler)

        return handle

    return wrap


def with_refusals_audited(auditor: Auditor | None) -> Filter:
    """Records the requests that authentication refuses. Stands around it."""

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
    """One request's records."""

    def __init__(self, auditor: Auditor, call: Call, recording: Recording) -> None:
        self._auditor, self._call, self._recording = auditor, call, recording
        self._user, self._received = call.user, auditor.clock()
        self._sources = sources(call)
        self._started = False
        self._sent: Sent | None = None

    async def follow(self, handler: Handler) -> web.StreamResponse:
        """The request itself."""
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
        """Notes a stage, unless it is omitted."""
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
        """A watch has begun: it may go on for an hour. Told once, though the headers of a refusal go out after its end is recorded."""
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
        """The response's body, where it is to be recorded or is a Status. Never of a watch."""
        if is_long_running(self._call.info):
            return b""
        body = self._call.answer or (response.body if isinstance(response, web.Response) else b"")
        if not isinstance(body, bytes):
            return b""
        return body if self._recording.level >= RESPONSE or (self._recording.level >= METADATA and body.startswith(STATUS)) else b""


def sources(call: Call) -> list[str]:
    """Where the request came from by its own account (the front proxy tells of its client so), and last who sent it to us."""
    headers = call.http.headers
    peer = call.http.transport.get_extra_info("peername") if call.http.transport is not None else None
    told = [*headers.get("X-Forwarded-For", "").split(",", HOPS)[:HOPS], headers.get("X-Real-Ip", ""), str(peer[0]) if peer else ""]
    return list(dict.fromkeys(address for text in told if (address := _address(text.strip()))))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _agent(call: Call) -> str:
    text = call.http.headers.get("User-Agent", "")
    return text if len(text) <= AGENT else f"{text[:AGENT]}...TRUNCATED"


def _attempted(call: Call) -> str:
    """How somebody unknown tried to tell who they are; never with what."""
    methods = []
    scheme, _, rest = call.http.headers.get("Authorization", "").strip().partition(" ")
    if rest and scheme.lower() in ("basic", "bearer"):
        methods.append(scheme.lower())
    transport = call.http.transport
    if transport is not None and transport.get_extra_info("peercert"):
        methods.append("x509")
    return f"Authentication failed, attempted: {', '.join(methods)}" if methods else "Authentication failed, no credentials provided"
