"""Measure each step of a request: the code between two awaits, during which nothing else runs."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Protocol

from aiohttp import web

from apiserver.handlers.request.call import Call, Filter, Handler


class Meter(Protocol):
    """Keeps the metrics, and reports slow requests."""

    def took(self, call: Call, seconds: float) -> None:
        """Record the duration of one step of this call. Called often."""


def with_steps(meter: Meter | None) -> Filter:
    """Report each step of everything behind this filter to the meter."""

    def wrap(handler: Handler) -> Handler:
        if meter is None:
            return handler

        async def handle(call: Call) -> web.StreamResponse:
            response: web.StreamResponse = await _Timed(handler, call, meter)
            return response

        return handle

    return wrap


class _Timed:
    """Runs the handler step by step."""

    __slots__ = ("_call", "_handler", "_meter")

    def __init__(self, handler: Handler, call: Call, meter: Meter) -> None:
        self._handler, self._call, self._meter = handler, call, meter

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        steps: Any = self._handler(self._call).__await__()
        error: BaseException | None = None
        while True:
            began = time.perf_counter()
            try:
                waits_for = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as end:
                response: web.StreamResponse = end.value
                return response
            finally:
                error = None  # its traceback refers to this frame, which must not refer to it
                self._meter.took(self._call, time.perf_counter() - began)
            try:
                yield waits_for
            except BaseException as raised:
                error = raised
            finally:
                waits_for = None  # its failure would refer to this frame too
