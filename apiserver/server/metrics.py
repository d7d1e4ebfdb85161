"""Count for /metrics under kube-apiserver's names, with prometheus-client.

Labels never contain text that a client chooses: resources that are not served, and unknown methods,
share one series. Requests and steps are counted here and not by prometheus-client, because its
histograms cost several microseconds for each observation. They become families when they are read.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from apiserver.apis.build import Build
from apiserver.handlers.request.call import Call, RequestInfo

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "post", "put", "head", "options"})
SUBRESOURCES = frozenset({"status", "binding", "offers", "scale"})
NAMES = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COMPONENT = {"component": "apiserver"}

Labels = tuple[str, str, str, str, str, str, str]

# Each counter would have a second series with the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library lacks this type


class Histogram:
    """Counts of durations by buckets."""

    __slots__ = ("buckets", "counts", "total")

    def __init__(self, buckets: tuple[float, ...] = BUCKETS) -> None:
        self.buckets, self.counts, self.total = buckets, [0] * (len(buckets) + 1), 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.buckets, seconds)] += 1
        self.total += seconds

    def add_to(self, family: Metric, labels: dict[str, str]) -> None:
        """Add the samples to a family."""
        so_far = 0
        for bound, count in zip((*(f"{bucket:g}" for bucket in self.buckets), "+Inf"), self.counts, strict=True):
            so_far += count
            family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, so_far)
        family.add_sample(f"{family.name}_sum", labels, self.total)
        family.add_sample(f"{family.name}_count", labels, so_far)


class Metrics:
    """Counts of requests (see filters.metrics.Recorder), and everything else that is registered.

    `served` has the (group, version, resource) triples that may be labels. `registry` takes more
    collectors; they are read on the event loop."""

    def __init__(self, served: Iterable[tuple[str, str, str]] = ()) -> None:
        self.registry = CollectorRegistry()
        self._served = frozenset(served)
        self._requests: defaultdict[tuple[Labels, int], int] = defaultdict(int)
        self._durations: defaultdict[Labels, Histogram] = defaultdict(Histogram)
        self._add(self._request_counts)
        self._own_durations: defaultdict[Labels, Histogram] = defaultdict(Histogram)
        self._add(lambda: _durations("apiserver_request_duration_seconds", "Time to answer requests other than watches.", self._durations))
        text = "The same without the time that requests waited for their turn, and for webhooks."
        self._add(lambda: _durations("apiserver_request_sli_duration_seconds", text, self._own_durations))

    def gauge(self, name: str, text: str, read: Callable[[], Iterable[tuple[dict[str, str], float]]]) -> None:
        """Add a gauge whose values (labels, value) are read on request."""
        self._add(lambda: _family(name, "gauge", text, read()))

    def counter(self, name: str, text: str, read: Callable[[], Iterable[tuple[dict[str, str], float]]]) -> None:
        """Add a counter, whose name ends in _total, that is kept elsewhere and is read like a
        gauge."""
        self._add(lambda: _family(name, "counter", text, read()))

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """Add a histogram that is kept elsewhere."""
        self.histograms(name, text, lambda: [({}, histogram)])

    def histograms(self, name: str, text: str, read_all: Callable[[], Iterable[tuple[dict[str, str], Histogram]]]) -> None:
        """Add histograms with labels that are kept elsewhere."""

        def read() -> Metric:
            family = Metric(name, text, "histogram")
            for labels, histogram in read_all():
                histogram.add_to(family, labels)
            return family

        self._add(read)

    def record(self, info: RequestInfo, code: int, seconds: float | None, *, dry_run: bool = False, waited: float = 0.0) -> None:
        """Count a request. See Recorder."""
        labels = self._labels(info, dry_run)
        self._requests[labels, code] += 1
        if seconds is not None:
            self._durations[labels].observe(seconds)
            self._own_durations[labels].observe(seconds - waited)

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answer GET /metrics."""
        return web.Response(body=await render(self.registry), headers={"Content-Type": CONTENT_TYPE})

    def _add(self, read: Callable[[], Metric]) -> None:
        self.registry.register(_Reading(read))

    def _labels(self, info: RequestInfo, dry_run: bool) -> Labels:
        verb = info.verb.upper() if info.verb in VERBS else "other"
        if not info.is_resource or (info.group, info.version, info.resource) not in self._served:
            return verb, "", "", "", "", "", ""
        subresource = info.subresource if info.subresource in SUBRESOURCES else ""
        return verb, "All" if dry_run else "", info.group, info.version, info.resource, subresource, info.scope

    def _request_counts(self) -> Metric:
        counts = (({**_named(labels), "code": str(code)}, count) for (labels, code), count in self._requests.items())
        return _family("apiserver_request_total", "counter", "Requests by what was asked and the code of the answer.", counts)


class _Reading(Collector):
    """One family that is made when it is read."""

    def __init__(self, read: Callable[[], Metric]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield self._read()


class _Snapshot(Collector):
    """Families that were read already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


async def render(registry: Collector) -> bytes:
    """Return all metrics of the registry, and of this process, in Prometheus' text format.

    Only the values are read on the event loop, so that they belong to one moment. A thread reads
    the process's own values from /proc and writes the text, which takes ten times as long."""
    return await asyncio.to_thread(_text, list(registry.collect()))


def _text(families: list[Metric]) -> bytes:
    everything = CollectorRegistry()
    everything.register(_Snapshot(families))
    everything.register(_Reading(_build))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=everything)
    return generate_latest(everything)


def _build() -> Metric:
    build = Build.stamped()
    labels = {"version": version("metal3-workloads"), "revision": build.commit}
    return _family("metal3_workloads_build_info", "gauge", "The version that runs; always 1.", [(labels, 1)])


def _durations(name: str, text: str, by_labels: dict[Labels, Histogram]) -> Metric:
    family = Metric(name, text, "histogram")
    for labels, histogram in by_labels.items():
        histogram.add_to(family, _named(labels))
    return family


def watch_labels(group: str, version: str, resource: str, scope: str) -> dict[str, str]:
    """Return the labels of kube-apiserver for watches of one kind."""
    return {**COMPONENT, "verb": "WATCH", "group": group, "version": version, "resource": resource, "subresource": "", "scope": scope}


def _named(labels: Labels) -> dict[str, str]:
    return {**COMPONENT, **dict(zip(NAMES, labels, strict=True))}


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    family = Metric(name.removesuffix("_total") if kind == "counter" else name, text, kind)
    for labels, value in samples:
        family.add_sample(name, labels, value)
    return family
