"""Check where expressions run, and that tenants take turns."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from apiserver.admission.policies.running import QUESTIONS, Runner
from apiserver.cel.library.authorizer import Question, Undecided
from apiserver.cel.meter import Cancelled, Meter
from apiserver.registry.generic.context import UserInfo
from tests.unit.apiserver.admission.policies.given import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pace = Callable[[int], None]


@pytest.fixture
def runner() -> Iterator[Runner]:
    """Return a Runner, whose thread ends with the test."""
    made = Runner(Cluster())
    yield made
    made.close()


def work(units: int) -> Callable[[Pace], str]:
    """Return a job that costs so much, and tells its thread."""

    def job(pace: Pace) -> str:
        meter = Meter(pace)
        for _ in range(units):
            meter.charge(1)
        return threading.current_thread().name

    return job


async def test_little_work_stays_on_the_event_loop(runner: Runner) -> None:
    run = runner.write(UserInfo("a"))
    here = threading.current_thread().name
    assert [await run.result(work(100)) for _ in range(3)] == [here] * 3
    assert (await run.result(work(50_000))).startswith("policies")
    assert (await run.result(work(5_000))).startswith("policies")  # the write has had its share
    assert await runner.write(UserInfo("a")).result(work(100)) == here


async def test_each_tenant_has_one_job_at_a_time(runner: Runner) -> None:
    order: list[str] = []
    began = threading.Event()

    def job(name: str) -> Callable[[Pace], None]:
        def run(pace: Pace) -> None:
            meter = Meter(pace)
            for _ in range(3_000):
                meter.charge(1)
            began.wait(10)
            order.append(name)

        return run

    greedy = [asyncio.create_task(runner.write(UserInfo("greedy")).result(job(f"greedy {index}"))) for index in range(20)]
    await asyncio.sleep(0)
    other = asyncio.create_task(runner.write(UserInfo("other")).result(job("other")))
    await asyncio.sleep(0)
    began.set()
    await asyncio.gather(other, *greedy)
    assert order.index("other") <= 2
    assert runner._turns == {}


async def test_a_cancelled_write_ends_its_work(runner: Runner) -> None:
    ended, started = threading.Event(), threading.Event()

    def job(pace: Pace) -> None:
        meter = Meter(pace, 10**12)
        try:
            while True:
                meter.charge(1)
                if threading.current_thread().name.startswith("policies"):
                    started.set()
        except Cancelled:
            ended.set()

    task = asyncio.create_task(runner.write(UserInfo("a")).result(job))
    assert await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 10)


async def test_questions_are_bounded(runner: Runner) -> None:
    run, wanted = runner.write(UserInfo("a")), iter(range(1000))

    def job(pace: Pace) -> int:
        question = Question(("", ""), "get", name=str(next(wanted)))
        if any(one.error for one in run.decisions.values()):
            return len(run.decisions)
        raise Undecided(question)

    assert await run.result(job) == QUESTIONS + 1
