"""Gives back the flow-control seat of a request that has done its work and waits for something outside this server.

kube-apiserver releases the seat of a watch after its initial events for the same reason. The seat belongs to the context (contextvars) in
which the request runs. Limits: a request that has left its seat gets none back, so what it does afterwards has to be cheap.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["leave_seat", "seated"]

_leave: ContextVar[Callable[[], None] | None] = ContextVar("leave_seat", default=None)


@contextmanager
def seated(leave: Callable[[], None]) -> Iterator[None]:
    """Note for the block how the request leaves its seat. `leave` has to be idempotent."""
    token = _leave.set(leave)
    try:
        yield
    finally:
        _leave.reset(token)


def leave_seat() -> None:
    """Give the seat back before a long wait. Idempotent; nothing happens where the request has none."""
    if (leave := _leave.get()) is not None:
        leave()
