"""Measure queues, reconciles and leadership under the names of client-go and controller-runtime.

The metrics belong to the process, as in controller-runtime. Each program that exports them
registers COLLECTORS. Labels are names of controllers, which are few."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from weakref import WeakSet

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

QUEUE_BUCKETS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
TIME_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RESULTS = ("success", "error", "requeue_after")
QUEUE = ["name", "controller"]

ADDS = Counter("workqueue_adds_total", "Keys that were added.", QUEUE, registry=None)
RETRIES = Counter("workqueue_retries_total", "Keys that were added to be processed later.", QUEUE, registry=None)
QUEUE_TIME = Histogram(
    "workqueue_queue_duration_seconds", "Time that a key waits before it is processed.", QUEUE, buckets=QUEUE_BUCKETS, registry=None
)
WORK_TIME = Histogram("workqueue_work_duration_seconds", "Time to process a key.", QUEUE, buckets=QUEUE_BUCKETS, registry=None)
RECONCILES = Counter("controller_runtime_reconcile_total", "Reconciles by result.", ["controller", "result"], registry=None)
ERRORS = Counter("controller_runtime_reconcile_errors_total", "Reconciles that failed.", ["controller"], registry=None)
TERMINAL = Counter(
    "controller_runtime_terminal_reconcile_errors_total",
    "Reconciles that failed, and are not retried until something changes.",
    ["controller"],
    registry=None,
)
TIMES = Histogram("controller_runtime_reconcile_time_seconds", "Time of a reconcile.", ["controller"], buckets=TIME_BUCKETS, registry=None)
LEADER = Gauge("leader_election_master_status", "Whether this replica is the leader.", ["name"], registry=None)


class QueueMetrics:
    """The metrics of one queue."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self._clock = name, clock
        self._added: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._adds, self._retries = ADDS.labels(name, name), RETRIES.labels(name, name)
        self._queue_time, self._work_time = QUEUE_TIME.labels(name, name), WORK_TIME.labels(name, name)
        _queues.add(self)

    def added(self, key: str) -> None:
        """Count a key that was not in the queue."""
        self._adds.inc()
        self._added.setdefault(key, self._clock())

    def delayed(self) -> None:
        """Count a key that will be added later."""
        self._retries.inc()

    def taken(self, key: str) -> None:
        """Measure how long a key has waited."""
        now = self._clock()
        self._started[key] = now
        self._queue_time.observe(now - self._added.pop(key, now))

    def done(self, key: str) -> None:
        """Measure how long a key was processed."""
        now = self._clock()
        self._work_time.observe(now - self._started.pop(key, now))

    def closed(self) -> None:
        """Forget the keys of a queue that is closed."""
        self._added.clear()

    @property
    def depth(self) -> int:
        """Return the number of keys that wait."""
        return len(self._added)

    def running(self) -> list[float]:
        """Return for how long each key has been processed."""
        now = self._clock()
        return [now - since for since in self._started.values()]


class ReconcileMetrics:
    """The metrics of one controller."""

    def __init__(self, name: str) -> None:
        self._results = {result: RECONCILES.labels(name, result) for result in RESULTS}
        self._errors, self._terminal, self._times = ERRORS.labels(name), TERMINAL.labels(name), TIMES.labels(name)

    def took(self, seconds: float, *, failed: bool = False, terminal: bool = False, again: bool = False) -> None:
        """Count a reconcile."""
        self._times.observe(seconds)
        self._results["error" if failed else "requeue_after" if again else "success"].inc()
        if failed:
            self._errors.inc()
        if terminal:
            self._terminal.inc()


class _LiveQueues(Collector):
    """Measures what is in the queues now. Queues of the same name are added up."""

    def collect(self) -> Iterator[Metric]:
        depth: defaultdict[str, int] = defaultdict(int)
        running: defaultdict[str, list[float]] = defaultdict(list)
        for queue in list(_queues):
            depth[queue.name] += queue.depth
            running[queue.name] += queue.running()
        yield _gauge("workqueue_depth", "Keys that wait.", dict(depth))
        sums = {name: sum(times) for name, times in running.items()}
        yield _gauge("workqueue_unfinished_work_seconds", "Time that keys in work have taken so far, in all.", sums)
        most = {name: max(times, default=0.0) for name, times in running.items()}
        yield _gauge("workqueue_longest_running_processor_seconds", "Time that the oldest key in work has taken so far.", most)


def _gauge(name: str, text: str, values: dict[str, float] | dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=QUEUE)
    for queue, value in values.items():
        family.add_metric([queue, queue], value)
    return family


_queues: WeakSet[QueueMetrics] = WeakSet()
COLLECTORS: tuple[Collector, ...] = (ADDS, RETRIES, QUEUE_TIME, WORK_TIME, _LiveQueues(), RECONCILES, ERRORS, TERMINAL, TIMES, LEADER)
