"""Apply flow control in the manner of kube-apiserver's API Priority and Fairness.

The filter is placed behind authentication and before all expensive work: authorization, the body,
the handler. Each priority level has its own seats. A flow is a user, or all service accounts of a
namespace. Within a level, each flow has a queue, and never more than a part of the seats. The time
of the event loop is shared between flows as well (flowcontrol.loopscheduler). docs/flowcontrol.md
lists which of its parts were adopted and which were not.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from apiserver.apis.status import ApiError, too_many_requests
from apiserver.authentication.remote import client_of, remote
from apiserver.filters.authentication import ANONYMOUS
from apiserver.filters.authorization import MASTERS
from apiserver.filters.paths import is_health, is_long_running
from apiserver.flowcontrol.fairqueue import QueueFull, QueueSet, Ticket
from apiserver.flowcontrol.loopscheduler import LoopScheduler
from apiserver.flowcontrol.refusals import Refusals
from apiserver.handlers.request.body import LIMIT
from apiserver.handlers.request.call import UNKNOWN, Call, Filter, Handler, RequestInfo
from apiserver.handlers.request.timebudget import sharing
from apiserver.registry.generic.context import UserInfo
from apiserver.registry.generic.latency import track_wait
from apiserver.registry.generic.seat import seated

READING = frozenset({"get", "list", "head", "options", "watch"})
MUTATING_INFLIGHT, READING_INFLIGHT = 200, 400
QUEUE_SECONDS = 15.0
"""The longest time in seconds that a request waits for a seat."""
WATCHES = 1000
"""The largest number of simultaneous watches of one flow."""
LIST_SEAT, BODY_SEAT, WIDEST = 250, 256 * 1024, 10
"""The objects of a list, and the bytes of a body, for which a request takes one more seat.

The last number limits the seats of a list."""
CONTROLLERS = ("system:serviceaccount:metal3-workloads-system:", "system:metal3-workloads:")
"""The prefixes of the names of our own controllers: in a cluster (manifests/), and in `dev`."""
SYSTEM_USERS = frozenset({"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"})
SYSTEM_GROUPS = frozenset({"system:nodes", "system:serviceaccounts:kube-system"})


@dataclass(frozen=True, slots=True)
class _Level:
    """A priority level.

    `percent` is its part of all seats. One flow has at most 1/`part` of them. For `reserved`, see
    LoopScheduler.run."""

    percent: int
    part: int
    reserved: bool = False
    watches: int = 0


LEVELS = {
    "system": _Level(20, 2, reserved=True),
    "controllers": _Level(20, 1, reserved=True),
    "workloads": _Level(50, 4, watches=WATCHES),
    "health": _Level(5, 4, watches=WATCHES),
    "catch-all": _Level(5, 4, watches=WATCHES),
}


class _Queues:
    """The state of one priority level.

    `rejected` counts refusals by reason. `refuse` is called with the flow of each refused request.
    `waited` is called with the seconds in the queue, and whether the request got its seats."""

    def __init__(self, level: _Level, total: int, patience: float, refuse: Callable[[str], None]) -> None:
        seats = max(1, total * level.percent // 100)
        self.level, self._patience, self._refuse = level, patience, refuse
        self.set = QueueSet(seats, max(1, seats // level.part))
        self.dispatched = 0
        self.waited: Callable[[float, bool], None] = lambda seconds, executed: None
        self.rejected: Counter[str] = Counter()
        self._watches: Counter[Hashable] = Counter()

    @asynccontextmanager
    async def seated(self, key: str, seats: int) -> AsyncIterator[None]:
        """Wait for the seats, and keep them during the block or until leave_seat. Raises ApiError
        (429)."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            ticket = self.set.arrive(key, seats, lambda: _resolve(woken))
        except QueueFull:
            raise self._refusal(key, "queue-full") from None
        try:
            if ticket.started is None:
                await self._measured(key, ticket, woken)
            else:
                self.waited(0.0, True)
            self.dispatched += 1
            with seated(lambda: self.set.leave(ticket)):
                yield
        finally:
            self.set.leave(ticket)

    async def _measured(self, key: str, ticket: Ticket, woken: asyncio.Future[None]) -> None:
        """Wait, and report the duration, and whether the request got its seats."""
        began, executed = time.monotonic(), False
        try:
            await self._wait(key, ticket, woken)
            executed = True
        finally:
            self.waited(time.monotonic() - began, executed)

    async def _wait(self, key: str, ticket: Ticket, woken: asyncio.Future[None]) -> None:
        try:
            with track_wait():
                async with asyncio.timeout(self._patience):
                    await woken
        except TimeoutError:
            if ticket.started is None:
                raise self._refusal(key, "time-out") from None
        if ticket.thrown_out:
            raise self._refusal(key, "queue-full")

    @contextmanager
    def watching(self, key: str) -> Iterator[None]:
        """Count one watch during the block. Raises ApiError (429)."""
        if 0 < self.level.watches <= self._watches[key]:
            raise self._refusal(key, "concurrency-limit")
        self._watches[key] += 1
        self.dispatched += 1
        try:
            yield
        finally:
            self._watches[key] -= 1
            if not self._watches[key]:
                del self._watches[key]

    def _refusal(self, key: str, reason: str) -> ApiError:
        self.rejected[reason] += 1
        self._refuse(key)
        return too_many_requests("Too many requests, please try again later.", retry_after=1)


class FlowControl:
    """The priority levels of one server.

    reading, mutating: their sum is the number of seats, as in kube-apiserver.

    controllers: names of users with the level of our own controllers; a name that ends in a colon
    is a prefix.

    queue_seconds: the longest time that a request waits for its seats.

    objects: returns the number of objects of a (group, resource)."""

    def __init__(
        self,
        reading: int = READING_INFLIGHT,
        mutating: int = MUTATING_INFLIGHT,
        controllers: Iterable[str] = CONTROLLERS,
        *,
        queue_seconds: float = QUEUE_SECONDS,
    ) -> None:
        refusals, seats = Refusals(), reading + mutating
        self.levels = {name: _Queues(level, seats, queue_seconds, partial(refusals.count, name)) for name, level in LEVELS.items()}
        self.current = {"readOnly": 0, "mutating": 0}
        self.loop = LoopScheduler()
        self.objects: Callable[[str, str], int] = lambda group, resource: 0
        self._controllers = tuple(controllers)

    def trusts(self, user: UserInfo) -> bool:
        """Return whether the user is an administrator or one of our own controllers."""
        return schema(user, UNKNOWN, self._controllers)[0] in ("exempt", "controllers")

    async def run(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Run the handler when the request has its seats, and return its answer. Raises ApiError
        (429)."""
        assert call.user is not None, "authentication comes first"
        name, key = schema(call.user, call.info, self._controllers)
        if name == "exempt":
            return await handler(call)
        if name == "health":
            key = client_of(remote(call.http))
        queues = self.levels[name]
        if is_long_running(call.info):
            with queues.watching(key):
                return await self._shared(name, key, call, handler)
        async with queues.seated(key, self._width(call)):
            with self._counted("readOnly" if call.info.verb in READING else "mutating"):
                return await self._shared(name, key, call, handler)

    async def _shared(self, name: str, key: str, call: Call, handler: Handler) -> web.StreamResponse:
        reserved = LEVELS[name].reserved
        with sharing(lambda seconds: self.loop.charge(name, key, seconds, reserved=reserved)):
            return await self.loop.run(name, key, _coroutine(handler, call), reserved=reserved)

    @contextmanager
    def _counted(self, kind: str) -> Iterator[None]:
        self.current[kind] += 1
        try:
            yield
        finally:
            self.current[kind] -= 1

    def _width(self, call: Call) -> int:
        info, http = call.info, call.http
        length = http.content_length if http.content_length is not None else LIMIT if http.can_read_body else 0
        return width(info, length, self.objects(info.group, info.resource), call.query.get("limit", ""))


def with_flow_control(control: FlowControl) -> Filter:
    """Let requests pass in fair order."""

    def wrap(handler: Handler) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            return await control.run(call, handler)

        return handle

    return wrap


def schema(user: UserInfo, info: RequestInfo, controllers: tuple[str, ...] = CONTROLLERS) -> tuple[str, str]:
    """Return the priority level and the flow of a request."""
    if MASTERS in user.groups:
        return "exempt", ""
    if user.name == ANONYMOUS.name:
        return ("health" if is_health(info.path) else "catch-all"), ""
    if any(user.name == one or (one.endswith(":") and user.name.startswith(one)) for one in controllers):
        return "controllers", user.name
    if user.name in SYSTEM_USERS or not SYSTEM_GROUPS.isdisjoint(user.groups):
        return "system", user.name
    return "workloads", user.flow


def width(info: RequestInfo, length: int, objects: int, limit: str = "") -> int:
    """Return the number of seats of a request.

    `length` is the bytes of its body. `objects` is the number of objects in an unrestricted
    list."""
    if info.verb in ("list", "deletecollection"):
        wanted = min(objects, int(limit)) if limit.isascii() and limit.isdigit() and 0 < len(limit) < 10 and int(limit) else objects
        return 1 if info.name else min(1 + wanted // LIST_SEAT, WIDEST)
    if info.verb in READING:
        return 1
    return 2 + min(max(length, 0), LIMIT) // BODY_SEAT


async def _coroutine(handler: Handler, call: Call) -> web.StreamResponse:
    return await handler(call)


def _resolve(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
