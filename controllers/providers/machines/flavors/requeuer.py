"""Requeue slots although their source reports no change, and record why their machines cannot be
created."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SlotRequeuer:
    """Requeues the slots of one provider by calling `on_change(uid)`. It is not thread-safe."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.problems: dict[str, tuple[str, str]] = {}
        """Why the machine of a slot cannot be created, as (reason, message) for the owner, by the
        slot's uid."""

    def failed(self, uid: str, problem: tuple[str, str], *, retry_after: float) -> None:
        """Record why a machine cannot be created, and requeue its slot after `retry_after`
        seconds."""
        before, self.problems[uid] = self.problems.get(uid), problem
        self.requeue_after(uid, retry_after)
        if problem != before:
            self._on_change(uid)

    def recovered(self, uid: str) -> None:
        """Record that the machine can be created, or is not wanted any more."""
        if self.problems.pop(uid, None) is not None:
            self._on_change(uid)

    def requeue_after(self, uid: str, seconds: float) -> None:
        """Requeue the slot after this many seconds, instead of at the time that was set before."""
        if (timer := self._timers.pop(uid, None)) is not None:
            timer.cancel()
        self._timers[uid] = asyncio.get_running_loop().call_later(seconds, self._requeue, uid)

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _requeue(self, uid: str) -> None:
        self._timers.pop(uid, None)
        self._on_change(uid)
