"""Queue keys with client-go's semantics: one worker processes a key at a time, and no key is lost.

A key that is added while it waits is queued once. A key that is added while it is processed is
queued again afterwards. Failures back off per key. Each key has at most one timer; the earliest
wins.

Keys may be in groups that take turns and have a limit each. A group whose work hangs, or that has
very much work, does not delay others. Within a group there are two priorities: keys that are added
as `later`, such as all keys after a reconnect, come after the others. Within a priority, flows
(tenants) take turns. A tenant with thousands of keys, or with keys that are added again and again,
gets no more turns than others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

from apiserver.client.clock import Clock, LoopClock, Timer, exponential_delay
from controllers.runtime.metrics import QueueMetrics

LATER_ONE_IN = 8
"""The low priority of a group has one turn in this many, so that its keys do not starve."""


class ShutDown(Exception):
    """Reports that the queue is closed."""


class Queue:
    """A queue of keys for one event loop. It is not thread-safe.

    `group` returns the group of a key when the key becomes ready. `limit` is the number of keys of
    one group that are processed at once, and `total` that of all groups. `flow` returns the owner
    of a key. `metrics` measures the queue."""

    def __init__(
        self,
        *,
        base_delay: float = 0.02,
        max_delay: float = 60.0,
        clock: Clock | None = None,
        group: Callable[[str], str] | None = None,
        limit: int | None = None,
        total: int | None = None,
        flow: Callable[[str], str] | None = None,
        metrics: QueueMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._base, self._max = base_delay, max_delay
        self._clock: Clock = clock or LoopClock()
        self._group, self._limit, self._total, self._flow = group or _one_group, limit, total, flow or _one_group
        self._ready: dict[str, _Lanes] = {}
        self._turns: deque[str] = deque()
        self._working: Counter[str] = Counter()
        self._dirty: dict[str, bool] = {}
        self._waiting: dict[str, str] = {}
        self._processing: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._timers: dict[str, tuple[float, Timer]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Return the number of ready keys, including those that wait because of their group's
        limit."""
        return sum(map(len, self._ready.values()))

    def ready(self, group: str) -> int:
        """Return the number of ready keys of the group."""
        return len(self._ready.get(group, ()))

    @property
    def idle(self) -> bool:
        """Return whether no key is ready or being processed. Keys may still wait for a timer."""
        return not self._dirty and not self._processing

    def now(self) -> float:
        """Return the clock's time, for callers that space out their work."""
        return self._clock.time()

    def add(self, key: str, *, later: bool = False) -> None:
        """Process this key as soon as a worker is free.

        With `later`, other keys of the group come first, unless the key is also added without
        it."""
        if self._closed or (key in self._dirty and (later or not self._dirty[key])):
            return
        if self._metrics is not None and key not in self._dirty:
            self._metrics.added(key)
        self._dirty[key] = later
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: str, delay: float) -> None:
        """Process this key after `delay` seconds, or earlier if it is due earlier for another
        reason."""
        if self._closed:
            return
        if delay <= 0:
            self.add(key)
            return
        if self._metrics is not None:
            self._metrics.delayed()
        due = self._clock.time() + delay
        if pending := self._timers.get(key):
            if pending[0] <= due:
                return
            pending[1].cancel()
        self._timers[key] = (due, self._clock.call_later(delay, lambda: self._due(key)))

    def add_rate_limited(self, key: str) -> float:
        """Process this key again after a failure. Return the delay, which doubles with each failure
        in a row."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = exponential_delay(failures, self._base, self._max)
        self.add_after(key, delay)
        return delay

    def failures(self, key: str) -> int:
        """Return how often the key failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """Reset the failures of a key after a success, so that its next failure has the shortest
        delay."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """Return the next key; call `done` with it afterwards. Raises ShutDown when the queue is
        closed."""
        while (found := self._take()) is None:
            if self._closed:
                raise ShutDown
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # this waiter was woken: wake the next one instead
                else:
                    with suppress(ValueError):  # _wake has skipped it since it was cancelled
                        self._waiters.remove(waiter)
                raise
        if self._closed:
            raise ShutDown
        return found

    def _take(self) -> str | None:
        """Return the next key of the next group below its limit, or None."""
        if self._total is not None and len(self._processing) >= self._total:
            return None
        for _ in range(len(self._turns)):
            group = self._turns.popleft()
            if self._limit is not None and self._working[group] >= self._limit:
                self._turns.append(group)
                continue
            lanes = self._ready[group]
            key = lanes.pop()
            if lanes:
                self._turns.append(group)
            else:
                del self._ready[group]
            del self._dirty[key], self._waiting[key]
            self._processing[key] = group
            self._working[group] += 1
            if self._metrics is not None:
                self._metrics.taken(key)
            return key
        return None

    def done(self, key: str) -> None:
        """Mark the key as processed, with or without success."""
        group = self._processing.pop(key)
        if self._metrics is not None:
            self._metrics.done(key)
        self._working[group] -= 1
        if not self._working[group]:
            del self._working[group]
        if key in self._dirty:
            self._push(key)
        elif group in self._ready or (self._total is not None and self._ready):
            self._wake()

    def close(self) -> None:
        """Wake all workers with ShutDown, and drop everything."""
        self._closed = True
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._metrics is not None:
            self._metrics.closed()
        while self._waiters:
            self._wake()

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _push(self, key: str) -> None:
        # The key stays in the group in which it waits, although `group` may return another one now.
        group = self._waiting.setdefault(key, self._group(key))
        if group not in self._ready:
            self._ready[group] = _Lanes(self._flow)
            self._turns.append(group)
        self._ready[group].push(key, later=self._dirty[key])
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class _Lanes:
    """The ready keys of one group by priority. False if empty."""

    __slots__ = ("_first", "_later", "_taken")

    def __init__(self, flow: Callable[[str], str]) -> None:
        self._first, self._later = _Lane(flow), _Lane(flow)
        self._taken = 0

    def __len__(self) -> int:
        return len(self._first) + len(self._later)

    def push(self, key: str, *, later: bool) -> None:
        """Add a key. A key in the low priority moves to the high one unless `later` is true."""
        if later:
            self._later.push(key)
        else:
            self._later.remove(key)
            self._first.push(key)

    def pop(self) -> str:
        """Return the next key."""
        self._taken += 1
        first = self._first and not (self._later and self._taken % LATER_ONE_IN == 0)
        return (self._first if first else self._later).pop()


class _Lane:
    """The keys of flows that take turns, in order of arrival within a flow. False if empty.

    Every operation takes constant time."""

    __slots__ = ("_flow", "_flows", "_length")

    def __init__(self, flow: Callable[[str], str]) -> None:
        self._flow, self._length = flow, 0
        self._flows: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def __len__(self) -> int:
        return self._length

    def push(self, key: str) -> None:
        """Add a key that is not in the lane."""
        self._flows.setdefault(self._flow(key), OrderedDict())[key] = None
        self._length += 1

    def remove(self, key: str) -> None:
        """Remove a key if it is in the lane."""
        flow = self._flow(key)
        keys = self._flows.get(flow)
        if keys is not None and key in keys:
            del keys[key]
            self._length -= 1
            if not keys:
                del self._flows[flow]

    def pop(self) -> str:
        """Return the first key of the flow that has its turn."""
        flow, keys = self._flows.popitem(last=False)
        key, _ = keys.popitem(last=False)
        self._length -= 1
        if keys:
            self._flows[flow] = keys
        return key


def _one_group(key: str) -> str:
    return ""
