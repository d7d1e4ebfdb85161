"""Count for /metrics under kube-apiserver's names, in Prometheus' text format 0.0.4.

Labels never contain text that a client chooses: resources that are not served, and unknown methods,
share one series. This is implemented by hand, because counting a request must cost about a
microsecond, and four metric families need no library.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from apiserver.handlers.request.call import Call, RequestInfo

__all__ = ["Histogram", "Metrics"]

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "post", "put", "head", "options"})
SUBRESOURCES = frozenset({"status", "binding", "offers"})
NAMES = ("verb", "group", "version", "resource", "subresource", "scope")

Labels = tuple[str, str, str, str, str, str]


class Histogram:
    """Counts of durations by BUCKETS."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts, self.total = [0] * (len(BUCKETS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counts of requests (see filters.metrics.Recorder).

    `served` has the (group, version, resource) triples that may be labels."""

    def __init__(self, served: Iterable[tuple[str, str, str]] = ()) -> None:
        self._served = frozenset(served)
        self._requests: defaultdict[tuple[Labels, int], int] = defaultdict(int)
        self._histograms: list[tuple[str, str, Histogram]] = []
        self._durations: defaultdict[Labels, Histogram] = defaultdict(Histogram)
        self._others: list[tuple[str, str, str, Callable[[], Iterable[tuple[dict[str, str], float]]]]] = []

    def gauge(self, name: str, text: str, read: Callable[[], Iterable[tuple[dict[str, str], float]]]) -> None:
        """Add a gauge whose values (labels, value) are read on request."""
        self._others.append((name, "gauge", text, read))

    def counter(self, name: str, text: str, read: Callable[[], Iterable[tuple[dict[str, str], float]]]) -> None:
        """Add a counter that is kept elsewhere and is read like a gauge."""
        self._others.append((name, "counter", text, read))

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """Add a histogram that is kept elsewhere."""
        self._histograms.append((name, text, histogram))

    def record(self, info: RequestInfo, code: int, seconds: float | None) -> None:
        """Count a request. See Recorder."""
        labels = self._labels(info)
        self._requests[labels, code] += 1
        if seconds is not None:
            self._durations[labels].observe(seconds)

    def _labels(self, info: RequestInfo) -> Labels:
        verb = info.verb.upper() if info.verb in VERBS else "other"
        if not info.is_resource or (info.group, info.version, info.resource) not in self._served:
            return verb, "", "", "", "", ""
        scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
        subresource = info.subresource if info.subresource in SUBRESOURCES else ""
        return verb, info.group, info.version, info.resource, subresource, scope

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answer GET /metrics."""
        return web.Response(body=self.text().encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    def text(self) -> str:
        """Return all metrics in Prometheus' format."""
        return "".join(line + "\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _head("apiserver_request_total", "counter", "Requests by what was asked and the code of the answer.")
        for (labels, code), count in self._requests.items():
            yield f"apiserver_request_total{_text({**dict(zip(NAMES, labels, strict=True)), 'code': str(code)})} {count}"
        yield from _head("apiserver_request_duration_seconds", "histogram", "Time to answer requests other than watches.")
        for labels, histogram in self._durations.items():
            yield from _histogram("apiserver_request_duration_seconds", dict(zip(NAMES, labels, strict=True)), histogram)
        for name, text, other in self._histograms:
            yield from _head(name, "histogram", text)
            yield from _histogram(name, {}, other)
        for name, kind, text, read in self._others:
            yield from _head(name, kind, text)
            for other_labels, value in read():
                yield f"{name}{_text(other_labels)} {value:.15g}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _histogram(name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[str]:
    so_far = 0
    for bound, count in zip((*(f"{bucket:g}" for bucket in BUCKETS), "+Inf"), histogram.counts, strict=True):
        so_far += count
        yield f"{name}_bucket{_text({**labels, 'le': bound})} {so_far}"
    yield f"{name}_sum{_text(labels)} {histogram.total:.9g}"
    yield f"{name}_count{_text(labels)} {so_far}"


def _text(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
