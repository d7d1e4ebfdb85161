"""Check the metrics of queues and controllers against what really happened."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from apiserver.client.errors import ApiException
from controllers.runtime.controller import Controller, Result, TerminalError
from controllers.runtime.leader import AlwaysLeader
from controllers.runtime.metrics import COLLECTORS, QueueMetrics
from controllers.runtime.queue import Queue
from tests.crashes.virtual import run
from tests.unit.controllers.fakeapi import eventually


def value(name: str, /, **labels: str) -> float:
    """Return a sample of this process, 0 if there is none."""
    registry = CollectorRegistry()
    for collector in COLLECTORS:
        registry.register(collector)
    return registry.get_sample_value(name, labels) or 0.0


def of_queue(name: str, queue: str) -> float:
    return value(name, name=queue, controller=queue)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_is_measured_from_its_addition_to_its_end() -> None:
    clock = Clock()
    queue = Queue(metrics=QueueMetrics("measured", clock))
    queue.add("a")
    queue.add("a")
    queue.add("b", later=True)
    queue.add("b")
    assert of_queue("workqueue_adds_total", "measured") == 2
    assert of_queue("workqueue_depth", "measured") == 2
    clock.now += 5.0
    assert await queue.get() == "a"
    clock.now += 3.0
    assert await queue.get() == "b"
    clock.now += 4.0
    assert of_queue("workqueue_depth", "measured") == 0
    assert of_queue("workqueue_unfinished_work_seconds", "measured") == 7.0 + 4.0
    assert of_queue("workqueue_longest_running_processor_seconds", "measured") == 7.0
    queue.add("a")
    assert of_queue("workqueue_depth", "measured") == 1, "it is added while it is processed"
    for key in ("a", "b"):
        queue.done(key)
    assert of_queue("workqueue_queue_duration_seconds_sum", "measured") == 5.0 + 8.0
    assert of_queue("workqueue_work_duration_seconds_sum", "measured") == 7.0 + 4.0
    assert of_queue("workqueue_work_duration_seconds_count", "measured") == 2
    assert of_queue("workqueue_unfinished_work_seconds", "measured") == 0
    queue.close()
    assert of_queue("workqueue_depth", "measured") == 0


def test_delayed_keys_are_counted_and_added_once_each() -> None:
    async def main() -> None:
        queue = Queue(metrics=QueueMetrics("delayed"))
        queue.add_rate_limited("a")
        queue.add_after("b", 10.0)
        assert of_queue("workqueue_retries_total", "delayed") == 2
        assert of_queue("workqueue_adds_total", "delayed") == 0
        await asyncio.sleep(60.0)
        assert of_queue("workqueue_adds_total", "delayed") == 2
        assert of_queue("workqueue_depth", "delayed") == 2

    run(main)


def test_queues_of_one_name_are_added_up_and_forgotten_with_their_queue() -> None:
    first, second = Queue(metrics=QueueMetrics("twins")), Queue(metrics=QueueMetrics("twins"))
    first.add("a")
    second.add("a")
    assert of_queue("workqueue_depth", "twins") == 2
    del second
    assert of_queue("workqueue_depth", "twins") == 1


async def test_reconciles_are_counted_by_their_result() -> None:
    outcomes: dict[str, Result | Exception | None] = {
        "well": None,
        "again": Result(requeue_after=600.0),
        "never": TerminalError("of the test"),
        "wrong": ValueError("of the test"),
        "conflict": ApiException(409, "Conflict", "of the test"),
    }
    done: list[str] = []

    async def reconcile(key: str) -> Result | None:
        outcome = outcomes[key]
        done.append(key)
        if isinstance(outcome, Exception):
            outcomes[key] = None
            raise outcome
        return outcome

    controller = Controller("counted", reconcile, base_delay=0.001)
    for key in outcomes:
        controller.queue.add(key)
    task = asyncio.ensure_future(controller.run())
    await eventually(lambda: len(done) == len(outcomes) + 2 and of_queue("workqueue_unfinished_work_seconds", "counted") == 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    found = {result: value("controller_runtime_reconcile_total", controller="counted", result=result) for result in ("success", "error")}
    assert found == {"success": 3, "error": 3}
    assert value("controller_runtime_reconcile_total", controller="counted", result="requeue_after") == 1
    assert value("controller_runtime_reconcile_errors_total", controller="counted") == 3
    assert value("controller_runtime_terminal_reconcile_errors_total", controller="counted") == 1
    assert value("controller_runtime_reconcile_time_seconds_count", controller="counted") == 7


async def test_the_leader_is_known() -> None:
    seen: list[float] = []

    async def lead() -> None:
        seen.append(value("leader_election_master_status", name="of-the-test"))

    await AlwaysLeader("of-the-test").run(lead)
    assert seen == [1]
    assert value("leader_election_master_status", name="of-the-test") == 0
