"""Share the time of the event loop between flows by the time that their requests really take.

A request is driven step by step, from one suspension to the next, and each step is measured. In
each round of the loop, the flows whose requests can continue share a millisecond, the flow with the
least use first. Others wait for a later round. So a request of a flow with little use waits for one
round, regardless of the number and cost of other flows' requests. The CPU time of the thread is
measured: no flow is charged for time in which the machine did something else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator, Hashable
from typing import Any, Generic, TypeVar

from apiserver.flowcontrol.fairqueue import FairQueue, Flow

R = TypeVar("R")

ROUND = 0.001
"""The seconds of a round that are shared: as long as a turn of long work (request.timebudget)."""
PAUSE = 3
"""The number of rounds without sharing after a round that took too long.

Events that arrived meanwhile take some rounds from the socket to their handler and back. They would
otherwise wait for a long step in each of these rounds. A round without work takes microseconds."""
ARRIVAL, LONGEST = 2, 6
"""The number of rounds without sharing after a request has arrived, whose flow is not known yet.

LONGEST is the highest number of such rounds in a row, however many requests arrive. In the first
round, the connection notices the request; in the second, the request begins."""
SLACK = 0.001
"""The seconds by which a flow may exceed its share and still continue at once."""
LEAST = 0.00002
"""The smallest expected cost of a step, in seconds: the loop's own work for it."""
SMOOTH, FADE = 0.2, 0.99
"""How fast a flow's mean follows its steps, and how slowly its longest step is forgotten.

A hundred short steps say little about the next step."""


class LoopScheduler:
    """Shares one event loop. `seconds` is the time used, by name."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._queue: FairQueue[asyncio.Future[float]] = FairQueue()
        self._spent, self._ahead, self._armed, self._pause, self._paused = 0.0, 0.0, False, 0, 0

    async def run(self, name: str, key: Hashable, coroutine: Coroutine[Any, Any, R], *, reserved: bool = False) -> R:
        """Return the coroutine's result. Its steps count for the flow (name, key).

        A `reserved` flow has as much time as all others together."""
        flow = self._queue.flow((name, key))
        flow.held += 1
        try:
            return await _Steps(self, name, flow, coroutine, reserved)
        finally:
            coroutine.close()
            flow.held -= 1
            self._queue.forget(flow)

    def arrived(self) -> None:
        """Note that a request has arrived.

        Unless its flow has to wait, it waits only for the step that is in progress."""
        self._pause = max(self._pause, ARRIVAL)

    def ready(self, flow: Flow[asyncio.Future[float]], *, reserved: bool) -> bool:
        """Return whether the flow's next step may run now.

        In a round whose time is used up, only flows without debt may continue, and only up to
        ROUND. A flow with waiting steps waits as a whole."""
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
        """Return a future that is done in the round in which the flow's next step may run.

        Its result is the cost that was charged for the step."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._queue.append(flow, future)
        return future

    def used(self, name: str, flow: Flow[asyncio.Future[float]], seconds: float, charged: float, *, reserved: bool) -> None:
        """Charge the duration of a step."""
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
        """Begin a round. A call_soon from here runs in the next one."""
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
                continue  # cancelled, because the client disconnected
            expected = max(flow.mean, LEAST)
            granted += max(flow.peak, LEAST)
            queue.charge(flow, expected)
            future.set_result(expected)
        if queue.length:
            self._arm()


class _Steps(Generic[R]):
    """Awaits a coroutine, and runs each step when the flow may run."""

    __slots__ = ("_coroutine", "_flow", "_name", "_reserved", "_shared")

    def __init__(
        self, shared: LoopScheduler, name: str, flow: Flow[asyncio.Future[float]], coroutine: Coroutine[Any, Any, R], reserved: bool
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
