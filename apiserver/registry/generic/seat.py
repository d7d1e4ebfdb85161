"""Give back the flow-control seat of a request that waits for something outside this server.

kube-apiserver releases the seat of a watch after its initial events for the same reason. The seat
belongs to the context (contextvars) in which the request runs. A request that has given up its seat
gets none back, so its remaining work has to be cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_leave: ContextVar[Callable[[], None] | None] = ContextVar("leave_seat", default=None)


@contextmanager
def seated(leave: Callable[[], None]) -> Iterator[None]:
    """Set the function by which a request in this block gives up its seat.

    `leave` may be called more than once."""
    token = _leave.set(leave)
    try:
        yield
    finally:
        _leave.reset(token)


def leave_seat() -> None:
    """Give the seat back before a long wait. Does nothing if the request no longer has a seat."""
    if (leave := _leave.get()) is not None:
        leave()
