"""Requeues slots although their source reports no change, and records why their machines cannot be created."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attention"]


class Attention:
    """Of one provider, in one event loop. `on_change(uid)` has the slot with this uid looked at again."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.troubles: dict[str, tuple[str, str]] = {}
        """Why a slot's machine cannot be made, as (reason, message) for the owner, by the slot's uid."""

    def trouble(self, uid: str, trouble: tuple[str, str], *, again: float) -> None:
        """A machine cannot be made for this reason; it is to be tried again in so many seconds."""
        before, self.troubles[uid] = self.troubles.get(uid), trouble
        self.later(uid, again)
        if trouble != before:
            self._on_change(uid)

    def fine(self, uid: str) -> None:
        """It can, or nobody wants it any more."""
        if self.troubles.pop(uid, None) is not None:
            self._on_change(uid)

    def later(self, uid: str, seconds: float) -> None:
        """Has the slot looked at in so many seconds; what was planned for it before is forgotten."""
        if (timer := self._timers.pop(uid, None)) is not None:
            timer.cancel()
        self._timers[uid] = asyncio.get_running_loop().call_later(seconds, self._look, uid)

    def close(self) -> None:
        """Plans no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _look(self, uid: str) -> None:
        self._timers.pop(uid, None)
        self._on_change(uid)
