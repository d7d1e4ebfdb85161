"""Export the metrics of flow control under kube-apiserver's names.

A priority level's flow schema has the level's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from apiserver.filters.flowcontrol import FlowControl
from apiserver.server.metrics import Histogram, Metrics

PREFIX = "apiserver_flowcontrol_"
WAITS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
"""kube-apiserver's buckets of waits."""


def flow_control_metrics(metrics: Metrics, control: FlowControl) -> None:
    """Add the metrics of flow control."""

    def each(read: Callable[[str], float]) -> Callable[[], Iterator[tuple[dict[str, str], float]]]:
        return lambda: (({"flow_schema": name, "priority_level": name}, read(name)) for name in control.levels)

    def rejected() -> Iterator[tuple[dict[str, str], float]]:
        for name, level in control.levels.items():
            for reason, count in level.rejected.items():
                yield {"flow_schema": name, "priority_level": name, "reason": reason}, count

    levels = control.levels
    metrics.counter(f"{PREFIX}dispatched_requests_total", "Requests that were executed.", each(lambda name: levels[name].dispatched))
    metrics.counter(f"{PREFIX}rejected_requests_total", "Requests that were answered with 429.", rejected)
    metrics.gauge(f"{PREFIX}current_inqueue_requests", "Requests that wait for seats.", each(lambda name: levels[name].set.queues.length))
    metrics.gauge(f"{PREFIX}current_executing_requests", "Requests that have seats.", each(lambda name: levels[name].set.requests))
    metrics.gauge(f"{PREFIX}current_executing_seats", "Seats that are taken.", each(lambda name: levels[name].set.executing))
    metrics.gauge(f"{PREFIX}nominal_limit_seats", "Seats of the level.", each(lambda name: levels[name].set.seats))
    waits = {(name, executed): Histogram(WAITS) for name in levels for executed in (True, False)}
    for name, level in levels.items():
        level.waited = _observer(waits[name, True], waits[name, False])

    def waited() -> Iterator[tuple[dict[str, str], Histogram]]:
        for (name, executed), histogram in waits.items():
            yield {"flow_schema": name, "priority_level": name, "execute": str(executed).lower()}, histogram

    metrics.histograms(f"{PREFIX}request_wait_duration_seconds", "Time that requests waited for seats.", waited)
    text = "Time of the event loop that requests took, their watches included."
    metrics.counter(f"{PREFIX}loop_seconds_total", text, each(lambda name: control.loop.seconds.get(name, 0.0)))


def _observer(executed: Histogram, refused: Histogram) -> Callable[[float, bool], None]:
    return lambda seconds, has_seats: (executed if has_seats else refused).observe(seconds)
