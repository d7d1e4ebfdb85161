"""Provide an event loop whose time passes only when nothing is left to do, and then at once.

Hours of waiting cost no time, and happen in the same way every time. It is for code that does no
I/O of its own. The loop waits at once for work in threads."""

from __future__ import annotations

import asyncio
import random
import selectors
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")


TURNS = 200_000
TURN = 1e-7
"""The seconds that each turn takes.

A timer may fire a little early, and code that waits for the rest must not wait forever."""


class Stuck(AssertionError):
    """Everything waits and no timer will ever wake it, or something repeats forever without
    waiting."""


class _Selector(selectors.DefaultSelector):
    """Lets the loop's time jump instead of waiting."""

    loop: VirtualLoop
    turns = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self.loop.now += TURN
            self.turns += 1
            if self.turns > TURNS:
                raise Stuck(f"so much happens at {self.loop.now:g} s that nobody ever waits")
            return ready
        if timeout is None:
            raise Stuck("everything waits for something else")
        self.turns = 0
        self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The event loop, see above. `now`: the seconds since its creation."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 1.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override] # the loop's own type has more overloads
        """Run the function in a thread (it may need a loop of its own) and wait for it.

        No other order is possible."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            try:
                future.set_result(func(*args))
            except BaseException as error:
                future.set_exception(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return future


@contextmanager
def determined(loop: VirtualLoop, seed: int) -> Iterator[None]:
    """Make chance, identities and clocks the same at every run."""
    chance = random.Random(seed)

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=chance.getrandbits(128), version=4)

    state = random.getstate()
    random.seed(seed)
    with (
        mock.patch.object(uuid, "uuid4", uuid4),
        mock.patch.object(time, "perf_counter", loop.time),
    ):
        try:
            yield
        finally:
            random.setstate(state)


def run(main: Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0) -> T:
    """Run the coroutine on a virtual loop of its own. Raises what it raises."""
    loop = VirtualLoop()
    with determined(loop, seed), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


async def eventually(check: Callable[[], Any], seconds: float = 300.0, *, step: float = 0.1) -> Any:
    """Let time pass until the check returns true, and raises nothing that means "not yet".

    Its last failure is the error."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            if result := check():
                return result
            problem: Exception = AssertionError(f"it did not become true within {seconds:g} s")
        except (AssertionError, KeyError, TypeError, IndexError) as error:
            problem = error
        if loop.time() >= deadline:
            raise problem
        await asyncio.sleep(step)
