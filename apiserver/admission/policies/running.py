"""Run the expressions of a write: cheap ones on the event loop, expensive ones in a thread.

A tenant's object can make an expression expensive, and must not block the event loop, which serves
all tenants. They share one thread, in which each tenant has one job at a time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from apiserver.cel.library.authorizer import Decision, Question, Undecided
from apiserver.cel.meter import Heavy, light, yielding
from apiserver.registry.generic.context import UserInfo

T = TypeVar("T")

ALLOWANCE = 1_500
"""The cost that the expressions of one write may have on the event loop: a few milliseconds."""
LONGEST_SECONDS = 10.0
"""The seconds after which a run in the thread ends, and the policy's failurePolicy decides."""
QUESTIONS = 64
"""The largest number of decisions of the authorizer for one write."""


class Authorization(Protocol):
    """Decides what users may do."""

    async def decide(self, user: UserInfo, question: Question) -> Decision:
        """Return the decision. If there is none, its `error` says why."""


class Runner:
    """Runs expressions for all writes of a server."""

    def __init__(self, authorization: Authorization) -> None:
        self.authorization = authorization
        self._turns: dict[str, tuple[asyncio.Lock, list[None]]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def write(self, user: UserInfo) -> Run:
        """Return a Run for the expressions of one write of this user."""
        return Run(self, user)

    def close(self) -> None:
        """End the thread after its present job, without waiting for that."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    async def heavy(self, flow: str, job: Callable[[Callable[[int], None]], T]) -> T:
        """Run a job in the thread, after earlier ones of the same flow."""
        lock, users = self._turns.setdefault(flow, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                return await self._in_thread(job)
        finally:
            users.pop()
            if not users:
                self._turns.pop(flow, None)

    async def _in_thread(self, job: Callable[[Callable[[int], None]], T]) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="policies")
        stopped = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: job(yielding(stopped, LONGEST_SECONDS)))
        finally:
            stopped.set()


class Run:
    """The work of one write, with the decisions that it requested."""

    def __init__(self, runner: Runner, user: UserInfo) -> None:
        self._runner, self._user = runner, user
        self._pace = light(ALLOWANCE)
        self.decisions: dict[Question, Decision] = {}

    async def result(self, job: Callable[[Callable[[int], None]], T]) -> T:
        """Return the result of a job, which is called with the pace for its expressions.

        The job is repeated if it costs too much for the event loop, or needs a decision."""
        while True:
            try:
                return await self._once(job)
            except Undecided as undecided:
                await self._decide(undecided.question)

    async def _once(self, job: Callable[[Callable[[int], None]], T]) -> T:
        try:
            return job(self._pace)
        except Heavy:
            return await self._runner.heavy(self._user.flow, job)

    async def _decide(self, question: Question) -> None:
        if len(self.decisions) >= QUESTIONS:
            self.decisions[question] = Decision(False, error=f"a write may ask the authorizer {QUESTIONS} times")
        else:
            self.decisions[question] = await self._runner.authorization.decide(self._user, question)
