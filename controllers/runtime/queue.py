"""A work queue with client-go's semantics: a key is processed by one worker at a time, and never forgotten.

A key added while it waits is there once; added while it is processed, it comes again afterwards. Failures back off per
key; one pending timer per key, the earliest wins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from controllers.runtime.clock import Clock, LoopClock

if TYPE_CHECKING:
    from controllers.runtime.clock import Timer

__all__ = ["Queue", "ShutDown"]


class ShutDown(Exception):
    """The queue is closed; there is nothing more to do."""


class Queue:
    """Keys to be processed. Not thread-safe: for one event loop."""

    def __init__(self, *, base_delay: float = 0.02, max_delay: float = 60.0, clock: Clock | None = None) -> None:
        self._base, self._max = base_delay, max_delay
        self._clock: Clock = clock or LoopClock()
        self._ready: deque[str] = deque()
        self._dirty: set[str] = set()
        self._processing: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, tuple[float, Timer]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Keys ready to be processed now."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing is ready or being processed; keys may still wait for their time."""
        return not self._dirty and not self._processing

    def now(self) -> float:
        """The clock's time: for those who space out what they do."""
        return self._clock.time()

    def add(self, key: str) -> None:
        """Process this key as soon as a worker is free."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: str, delay: float) -> None:
        """Process this key after so many seconds; sooner when it was already due sooner or is added otherwise."""
        if self._closed:
            return
        if delay <= 0:
            self.add(key)
            return
        due = self._clock.time() + delay
        if pending := self._timers.get(key):
            if pending[0] <= due:
                return
            pending[1].cancel()
        self._timers[key] = (due, self._clock.call_later(delay, lambda: self._due(key)))

    def add_rate_limited(self, key: str) -> float:
        """Process this key again after a failure: the delay doubles with each in a row. Returns the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._max, self._base * 2.0 ** min(failures, 32))
        self.add_after(key, delay)
        return delay

    def failures(self, key: str) -> int:
        """How often the key failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """The key succeeded: its next failure starts with the shortest delay."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; call `done` with it afterwards. Raises ShutDown once the queue is closed."""
        while not self._ready:
            if self._closed:
                raise ShutDown
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # it was our turn: pass it on
                else:
                    self._waiters.remove(waiter)
                raise
        if self._closed:
            raise ShutDown
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: str) -> None:
        """The key was processed, well or badly."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def close(self) -> None:
        """Wake all workers with ShutDown and forget everything."""
        self._closed = True
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        while self._waiters:
            self._wake()

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _push(self, key: str) -> None:
        self._ready.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
