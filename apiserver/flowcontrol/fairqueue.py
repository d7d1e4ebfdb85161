"""Share a resource fairly between flows with start-time fair queueing, and queue requests for
seats.

A flow's virtual finish time grows with its use of the resource. The flow with the least finish time
is served next, so flows with many or expensive requests wait for flows with few. Every step is
O(log flows).
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

DEBT = 10.0
"""The limit of a flow's debt. A flow above it waits for others, but does not starve."""
ESTIMATE = 0.01
"""The seconds charged for a request when it starts; the difference is charged when it ends."""
REMEMBERED = 1024
"""The number of idle flows whose use is remembered."""


class Flow(Generic[T]):
    """The requests of one user.

    `finish` is the virtual finish time. `held` is the number of seats or running requests of the
    flow. `mean` is the average cost of its requests, and `peak` the cost of the most expensive
    recent one."""

    __slots__ = ("finish", "held", "key", "listed", "mean", "peak", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.finish, self.mean, self.peak, self.held, self.listed = 0.0, 0.0, 0.0, 0, False
        self.waiting: deque[T] = deque()


class FairQueue(Generic[T]):
    """The waiting flows, the next one first. `now` is the virtual time: the start of the last
    service."""

    def __init__(self) -> None:
        self.now, self.length = 0.0, 0
        self.flows: dict[Hashable, Flow[T]] = {}
        self._heap: list[tuple[float, int, Flow[T]]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """Return the number of waiting flows."""
        return len(self._heap)

    def flow(self, key: Hashable) -> Flow[T]:
        """Return the flow of that key, which is created if missing."""
        found = self.flows.get(key)
        if found is None:
            found = self.flows[key] = Flow(key)
            found.finish = self.now
        return found

    def append(self, flow: Flow[T], item: T) -> None:
        """Append an item to the queue of its flow."""
        self.begin(flow)
        flow.waiting.append(item)
        self.length += 1
        self.offer(flow)

    def remove(self, flow: Flow[T], item: T) -> None:
        """Remove an item that no longer waits."""
        flow.waiting.remove(item)
        self.length -= 1

    def offer(self, flow: Flow[T]) -> None:
        """Enter a flow in the competition if it has waiting items."""
        if flow.waiting and not flow.listed:
            flow.listed = True
            heapq.heappush(self._heap, (flow.finish, next(self._order), flow))

    def first(self) -> Flow[T] | None:
        """Return the flow that is served next, or None."""
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
        """Take the first flow out of the competition until it is offered again."""
        heapq.heappop(self._heap)[2].listed = False

    def take(self) -> T:
        """Return the first item of the first flow, and take the flow out until it is offered
        again."""
        flow = self._heap[0][2]
        self.park()
        self.length -= 1
        self.serve(flow)
        return flow.waiting.popleft()

    def begin(self, flow: Flow[T]) -> None:
        """Note that the flow requests something again. It gets no credit for idle time."""
        if not flow.waiting:
            flow.finish = max(flow.finish, self.now)

    def serve(self, flow: Flow[T]) -> None:
        """Note that the flow is being served."""
        self.now = max(self.now, flow.finish)

    def charge(self, flow: Flow[T], cost: float) -> None:
        """Charge a cost to the flow. A negative cost refunds a charge that was not used."""
        flow.finish = min(flow.finish + cost, self.now + DEBT)

    def forget(self, flow: Flow[T]) -> None:
        """Drop a flow without requests and debt, or an idle one if too many are remembered."""
        if not flow.waiting and not flow.held and not flow.listed and (flow.finish <= self.now or len(self.flows) > REMEMBERED):
            self.flows.pop(flow.key, None)


class QueueFull(Exception):
    """The flow's queue is full."""


class Ticket:
    """One request in a QueueSet.

    `wake` is called once when the request starts, or is evicted while it waits."""

    __slots__ = ("flow", "left", "started", "thrown_out", "wake", "width")

    def __init__(self, flow: Flow[Ticket], width: int, wake: Callable[[], None]) -> None:
        self.flow, self.width, self.wake = flow, width, wake
        self.started: float | None = None
        self.thrown_out = self.left = False


class QueueSet:
    """The queues of requests for a number of seats.

    `share` limits the seats of one flow. `queue` and `total` limit the waiting requests of one flow
    and of all. If all places are taken, the flow with the longest queue loses its newest
    request."""

    def __init__(self, seats: int, share: int, queue: int = 128, total: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self.seats, self.share = seats, min(share, seats)
        self.executing = self.requests = 0
        self._queue, self._total, self._clock = queue, total, clock
        self.queues: FairQueue[Ticket] = FairQueue()

    def arrive(self, key: Hashable, width: int, wake: Callable[[], None]) -> Ticket:
        """Add a request for `width` seats. If its `started` is None, it waits. Raises QueueFull."""
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
        """Release the seats of a request that is done, stops waiting, or no longer needs them.

        Calling this again has no effect."""
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
                self.queues.park()  # until it releases some of its seats
                continue
            if self.executing + ticket.width > self.seats:
                # The free seats are kept for it, because a stream of narrow requests would block a
                # wide one forever.
                return
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
