"""Measure how long a request waits for what is not this server's own work: its turn, and webhooks.

apiserver_request_sli_duration_seconds leaves these times out, as in kube-apiserver."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Waits", "waiting", "waits_of_request"]


class Waits:
    """The seconds that one request has waited."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


_current: ContextVar[Waits | None] = ContextVar("waits", default=None)


@contextmanager
def waits_of_request() -> Iterator[Waits]:
    """Collect the waits of the request that is handled in the block."""
    waits = Waits()
    token = _current.set(waits)
    try:
        yield waits
    finally:
        _current.reset(token)


@contextmanager
def waiting() -> Iterator[None]:
    """Count the time of the block as a wait of the running request, if there is one."""
    waits = _current.get()
    if waits is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        waits.seconds += time.perf_counter() - began
