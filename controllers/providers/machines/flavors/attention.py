"""Requeue slots although their source reports no change, and record why their machines cannot be
created."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attention"]


class Attention:
    """The slots of one provider, in one event loop. `on_change(uid)` requeues the slot with this
    uid."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.troubles: dict[str, tuple[str, str]] = {}
        """Why the machine of a slot cannot be created, as (reason, message) for the owner, by the
        slot's uid."""

    def trouble(self, uid: str, trouble: tuple[str, str], *, again: float) -> None:
        """Record why a machine cannot be created, and requeue its slot after `again` seconds."""
        before, self.troubles[uid] = self.troubles.get(uid), trouble
        self.later(uid, again)
        if trouble != before:
            self._on_change(uid)

    def fine(self, uid: str) -> None:
        """Record that the machine can be created, or is not wanted any more."""
        if self.troubles.pop(uid, None) is not None:
            self._on_change(uid)

    def later(self, uid: str, seconds: float) -> None:
        """Requeue the slot after this many seconds. An earlier plan for the slot is dropped."""
        if (timer := self._timers.pop(uid, None)) is not None:
            timer.cancel()
        self._timers[uid] = asyncio.get_running_loop().call_later(seconds, self._look, uid)

    def close(self) -> None:
        """Cancel all plans."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _look(self, uid: str) -> None:
        self._timers.pop(uid, None)
        self._on_change(uid)
