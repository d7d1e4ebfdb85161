"""Queues of flows that share something fairly: start-time fair queueing, and a set of queues before a number of seats. Pure, no I/O.

A flow's virtual finish time grows by what it has had. The next to be served is the first of the flow whose finish time is least, so that
whoever has many requests, or expensive ones, waits for those who have few. Every step is O(log flows).
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["FairQueue", "Flow", "QueueFull", "QueueSet", "Ticket"]

T = TypeVar("T")

DEBT = 10.0
"""What a flow has had beyond its share is forgotten above this: it waits for others, and does not starve."""
ESTIMATE = 0.01
"""Seconds for which a request is charged while it runs; the truth is charged when it is done."""
REMEMBERED = 1024
"""Flows without requests that are remembered for what they have had."""


class Flow(Generic[T]):
    """One user's requests. `finish`: its virtual finish time. `held`: what it has in use. `mean`: what one of its requests costs. `peak`:
    what one may cost, as the most expensive of the last ones did."""

    __slots__ = ("finish", "held", "key", "listed", "mean", "peak", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.finish, self.mean, self.peak, self.held, self.listed = 0.0, 0.0, 0.0, 0, False
        self.waiting: deque[T] = deque()


class FairQueue(Generic[T]):
    """The flows that wait, the next one first. `now`: virtual time, the start of what was served last."""

    def __init__(self) -> None:
        self.now, self.length = 0.0, 0
        self.flows: dict[Hashable, Flow[T]] = {}
        self._heap: list[tuple[float, int, Flow[T]]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many flows wait."""
        return len(self._heap)

    def flow(self, key: Hashable) -> Flow[T]:
        """The flow of that key, made when there is none."""
        found = self.flows.get(key)
        if found is None:
            found = self.flows[key] = Flow(key)
            found.finish = self.now
        return found

    def append(self, flow: Flow[T], item: T) -> None:
        """Puts an item at the end of its flow's queue."""
        self.begin(flow)
        flow.waiting.append(item)
        self.length += 1
        self.offer(flow)

    def remove(self, flow: Flow[T], item: T) -> None:
        """Takes an item out that waits no more."""
        flow.waiting.remove(item)
        self.length -= 1

    def offer(self, flow: Flow[T]) -> None:
        """Lets a flow take part, if anything of it waits."""
        if flow.waiting and not flow.listed:
            flow.listed = True
            heapq.heappush(self._heap, (flow.finish, next(self._order), flow))

    def first(self) -> Flow[T] | None:
        """The flow whose turn it is."""
        heap = self._heap
        while heap:
            finish, order, flow = heap[0]
            if not flow.waiting:
                self.park()
            elif flow.finish > finish:  # it was charged since it was listed
                heapq.heapreplace(heap, (flow.finish, order, flow))
            else:
                return flow
        return None

    def park(self) -> None:
        """Leaves the first flow out until it is offered again."""
        heapq.heappop(self._heap)[2].listed = False

    def take(self) -> T:
        """The first item of the first flow, which takes no part until it is offered again."""
        flow = self._heap[0][2]
        self.park()
        self.length -= 1
        self.serve(flow)
        return flow.waiting.popleft()

    def begin(self, flow: Flow[T]) -> None:
        """Notes that the flow wants something again: what it did not ask for while it had nothing to do is not owed to it."""
        if not flow.waiting:
            flow.finish = max(flow.finish, self.now)

    def serve(self, flow: Flow[T]) -> None:
        """Notes that the flow is being served."""
        self.now = max(self.now, flow.finish)

    def charge(self, flow: Flow[T], cost: float) -> None:
        """Notes what the flow has had; less than nothing for what was charged before and not used."""
        flow.finish = min(flow.finish + cost, self.now + DEBT)

    def forget(self, flow: Flow[T]) -> None:
        """Drops a flow that has nothing here and owes nothing, or whose debt there is no room to remember."""
        if not flow.waiting and not flow.held and not flow.listed and (flow.finish <= self.now or len(self.flows) > REMEMBERED):
            self.flows.pop(flow.key, None)


class QueueFull(Exception):
    """No place is left in the flow's queue."""


class Ticket:
    """One request in a QueueSet. `wake` is called once when it is started or thrown out while it waits."""

    __slots__ = ("flow", "left", "started", "thrown_out", "wake", "width")

    def __init__(self, flow: Flow[Ticket], width: int, wake: Callable[[], None]) -> None:
        self.flow, self.width, self.wake = flow, width, wake
        self.started: float | None = None
        self.thrown_out = self.left = False


class QueueSet:
    """Requests before a number of seats. `share`: the most seats that one flow has. `queue`, `total`: how many requests wait, of one flow
    and in all. Where all places are taken, the flow with the longest queue loses its newest request."""

    def __init__(self, seats: int, share: int, queue: int = 128, total: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self.seats, self.share = seats, min(share, seats)
        self.executing = self.requests = 0
        self._queue, self._total, self._clock = queue, total, clock
        self.queues: FairQueue[Ticket] = FairQueue()

    def arrive(self, key: Hashable, width: int, wake: Callable[[], None]) -> Ticket:
        """A request of that flow and width (seats). It has started when `started` is set, else it waits. Raises QueueFull."""
        flow = self.queues.flow(key)
        ticket = Ticket(flow, min(width, self.share), wake)
        if not flow.waiting and self._fits(ticket) and self.queues.first() is None:
            self.queues.begin(flow)
            self.queues.serve(flow)
            self._start(ticket)
            return ticket
        self._make_room(flow)
        self.queues.append(flow, ticket)
        self._dispatch(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The request is done, gives up waiting, or needs its seats no more. Idempotent."""
        if ticket.left:
            return
        ticket.left = True
        flow = ticket.flow
        if ticket.started is not None:
            self.executing -= ticket.width
            self.requests -= 1
            flow.held -= ticket.width
            self.queues.charge(flow, ticket.width * (self._clock() - ticket.started - ESTIMATE))
        elif not ticket.thrown_out:
            self.queues.remove(flow, ticket)
        self.queues.offer(flow)
        self._dispatch()
        self.queues.forget(flow)

    def _make_room(self, flow: Flow[Ticket]) -> None:
        if len(flow.waiting) >= self._queue:
            raise QueueFull
        if self.queues.length < self._total:
            return
        longest = max(self.queues.flows.values(), key=lambda one: len(one.waiting))
        if len(longest.waiting) <= len(flow.waiting) + 1:
            self.queues.forget(flow)
            raise QueueFull
        ticket = longest.waiting[-1]
        ticket.thrown_out = True
        self.queues.remove(longest, ticket)
        ticket.wake()

    def _fits(self, ticket: Ticket) -> bool:
        return self.executing + ticket.width <= self.seats and ticket.flow.held + ticket.width <= self.share

    def _dispatch(self, arriving: Ticket | None = None) -> None:
        while (flow := self.queues.first()) is not None:
            ticket = flow.waiting[0]
            if flow.held + ticket.width > self.share:
                self.queues.park()  # until it leaves some of its seats
                continue
            if self.executing + ticket.width > self.seats:
                return  # seats are kept for it: narrow requests that pass by would keep a wide one out for ever
            self.queues.take()
            self._start(ticket)
            self.queues.offer(flow)
            if ticket is not arriving:
                ticket.wake()

    def _start(self, ticket: Ticket) -> None:
        ticket.started = self._clock()
        self.executing += ticket.width
        self.requests += 1
        ticket.flow.held += ticket.width
        self.queues.charge(ticket.flow, ticket.width * ESTIMATE)
