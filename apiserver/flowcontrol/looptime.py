"""The event loop's time, shared between flows by what their requests really took of it.

A request is driven step by step, from one suspension to the next, and each step is measured. In
each round of the loop, the flows whose requests can go on have a millisecond, the flow that has had
least first; others wait for a round to come. So a request of a flow that has had little waits for
one round, however many requests, and however expensive ones, other flows have. What is measured is
the thread's CPU time: nobody pays for the time in which the machine did something else.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from apiserver.flowcontrol.fairqueue import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Hashable

    from apiserver.flowcontrol.fairqueue import Flow

__all__ = ["LoopTime"]

R = TypeVar("R")

ROUND = 0.001
"""Seconds of a round that are shared out: as long as a turn of long work (endpoints.turns)."""
PAUSE = 3
"""Rounds in which nothing is shared out after one that took longer than it should: what has come in
meanwhile takes some rounds from the socket to its handler and back, and would else wait for a long
step in each of them. A round without work takes microseconds."""
ARRIVAL, LONGEST = 2, 6
"""Rounds in which nothing is shared out after a request has come in, of a flow that is not known
yet: in the first its connection notices it, in the second it begins. And how many there are in a
row at most, whatever comes in."""
SLACK = 0.001
"""A flow that has had no more than this beyond its share goes on at once."""
LEAST = 0.00002
"""What a step costs at least, as it is expected: the loop's own work for it."""
SMOOTH, FADE = 0.2, 0.99
"""How fast a flow's mean follows its steps, and how slowly its longest step is forgotten: a hundred
short steps tell little of the next."""


class LoopTime:
    """Shares one event loop. `seconds`: what was used of it, by the name under which it was asked
    for."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._queue: FairQueue[asyncio.Future[float]] = FairQueue()
        self._spent, self._ahead, self._armed, self._pause, self._paused = 0.0, 0.0, False, 0, 0

    async def run(self, name: str, key: Hashable, coroutine: Coroutine[Any, Any, R], *, reserved: bool = False) -> R:
        """The coroutine's result; its steps are the flow's (name, key). `reserved`: the flow has as
        much as all others together."""
        flow = self._queue.flow((name, key))
        flow.held += 1
        try:
            return await _Steps(self, name, flow, coroutine, reserved)
        finally:
            coroutine.close()
            flow.held -= 1
            self._queue.forget(flow)

    def arrived(self) -> None:
        """Note that a request has come in. Unless it is its flow's turn to wait, it meets no step
        but the one that is under way."""
        self._pause = max(self._pause, ARRIVAL)

    def ready(self, flow: Flow[asyncio.Future[float]], *, reserved: bool) -> bool:
        """Whether the flow's next step may run now. In a round that is over, only those that owe
        nothing may, and not for ever. A flow of which something waits already waits as a whole."""
        self._arm()
        queue = self._queue
        if flow.waiting:
            return False
        queue.begin(flow)
        owes = flow.finish > queue.now + SLACK
        now = (not queue.length and self._spent < ROUND and not self._pause) if owes else (reserved or self._ahead < ROUND)
        if now and not queue.length:
            queue.serve(flow)
        return now

    def wait(self, flow: Flow[asyncio.Future[float]]) -> asyncio.Future[float]:
        """Done in the round in which the flow's next step may run; its result is what has been
        charged for that."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._queue.append(flow, future)
        return future

    def used(self, name: str, flow: Flow[asyncio.Future[float]], seconds: float, charged: float, *, reserved: bool) -> None:
        """Notes what a step took."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self._spent += seconds
        if self._spent > ROUND:
            self._pause = PAUSE
        if not charged:
            self._ahead += seconds
        cost = max(seconds, LEAST) / (1 + len(self._queue) if reserved else 1)
        flow.mean += (cost - flow.mean) * SMOOTH
        flow.peak = max(seconds, flow.peak * FADE)
        self._queue.charge(flow, cost - charged)

    def charge(self, name: str, key: Hashable, seconds: float, *, reserved: bool) -> None:
        """Charge a running flow for work that was done for it outside of its steps.

        The work is not divided or delayed, but the flow's next steps wait for it."""
        queue, flow = self._queue, self._queue.flow((name, key))
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self._spent += seconds
        queue.begin(flow)
        queue.charge(flow, seconds / (1 + len(queue) if reserved else 1))

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        """A round begins: what is called soon is called in the next one."""
        self._armed, self._spent, self._ahead = False, 0.0, 0.0
        queue, granted = self._queue, 0.0
        if self._pause and self._paused < LONGEST:
            self._pause, self._paused = self._pause - 1, self._paused + 1
            self._arm()
            return
        self._pause = self._paused = 0
        while granted < ROUND and (flow := queue.first()) is not None:
            future = queue.take()
            queue.offer(flow)
            if future.done():
                continue  # cancelled: the client is gone
            expected = max(flow.mean, LEAST)
            granted += max(flow.peak, LEAST)
            queue.charge(flow, expected)
            future.set_result(expected)
        if queue.length:
            self._arm()


class _Steps(Generic[R]):
    """Awaits a coroutine, each of its steps when the flow may."""

    __slots__ = ("_coroutine", "_flow", "_name", "_reserved", "_shared")

    def __init__(
        self, shared: LoopTime, name: str, flow: Flow[asyncio.Future[float]], coroutine: Coroutine[Any, Any, R], reserved: bool
    ) -> None:
        self._shared, self._name, self._flow, self._coroutine, self._reserved = shared, name, flow, coroutine, reserved

    def __await__(self) -> Generator[Any, Any, R]:
        shared, flow, clock = self._shared, self._flow, self._shared._clock
        failure: BaseException | None = None
        while True:
            charged = 0.0
            if failure is None and not shared.ready(flow, reserved=self._reserved):
                try:
                    charged = yield from shared.wait(flow)
                except BaseException as error:
                    failure = error
            start = clock()
            try:
                if failure is None:
                    waited = self._coroutine.send(None)
                else:
                    thrown, failure = failure, None
                    waited = self._coroutine.throw(thrown)
                    del thrown
            except StopIteration as stop:
                result: R = stop.value
                return result
            finally:
                shared.used(self._name, flow, clock() - start, charged, reserved=self._reserved)
            try:
                yield waited
            except BaseException as error:
                failure = error
