"""Export the latency, the size and the cache of the storage under kube-apiserver's names.

The names say etcd for every store, because dashboards expect that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import Counter, Histogram

from apiserver.client import tracing
from apiserver.registry.generic.registry import Registry
from apiserver.server.metrics import Metrics
from storage.cache import WatchCache

BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 30.0, 60.0)
LABELS = ("operation", "group", "resource")


def storage_metrics(metrics: Metrics, cache: WatchCache, registries: Sequence[Registry]) -> None:
    """Add the metrics of the storage, and have the cache report its requests."""
    _sizes(metrics, cache, registries)
    _history(metrics, cache, registries)
    kinds = {one.resource.prefix: (one.resource.group, one.resource.plural) for one in registries}
    durations = Histogram(
        "etcd_request_duration_seconds", "Time of requests to the storage.", LABELS, buckets=BUCKETS, registry=metrics.registry
    )
    requests = Counter("etcd_requests_total", "Requests to the storage.", LABELS, registry=metrics.registry)
    errors = Counter(
        "etcd_request_errors_total", "Requests to the storage that failed, conflicts not counted.", LABELS, registry=metrics.registry
    )

    def observe(operation: str, key: str, seconds: float, failed: bool) -> None:
        labels = (operation, *kinds.get(_prefix(key), ("", "")))
        durations.labels(*labels).observe(seconds)
        requests.labels(*labels).inc()
        if failed:
            errors.labels(*labels).inc()
        if (tracer := tracing.active.tracer) is not None:
            tracer.finished(f"storage {operation}", seconds, failed=failed, attributes={"k8s.resource": labels[2]})

    cache.observe = observe


def _prefix(key: str) -> str:
    """Return the part of a key that all objects of its kind share: /registry/GROUP/PLURAL/."""
    return "/".join(key.split("/", 4)[:4]) + "/"


def _sizes(metrics: Metrics, cache: WatchCache, registries: Sequence[Registry]) -> None:
    def objects() -> Iterator[tuple[dict[str, str], float]]:
        for one in registries:
            yield {"group": one.resource.group, "resource": one.resource.plural}, len(one.collection)

    def by_qualified_name() -> Iterator[tuple[dict[str, str], float]]:
        for one in registries:
            resource = one.resource
            yield {"resource": f"{resource.plural}.{resource.group}".rstrip(".")}, len(one.collection)

    metrics.gauge("apiserver_resource_objects", "Objects by kind.", objects)
    metrics.gauge("apiserver_storage_objects", "Objects by kind, as releases of Kubernetes before 1.34 name them.", by_qualified_name)
    metrics.gauge("apiserver_storage_size_bytes", "Bytes of SQLite's file, or of an etcd member's.", lambda: [({}, cache.usage().size)])
    metrics.gauge("apiserver_storage_limit_bytes", "Bytes that it may have; 0: its disk, or unknown.", lambda: [({}, cache.usage().limit)])
    text = "Whether the storage has no room: what stores more is refused, deletions are taken."
    metrics.gauge("apiserver_storage_full", text, lambda: [({}, cache.usage().full)])


def _history(metrics: Metrics, cache: WatchCache, registries: Sequence[Registry]) -> None:
    def revisions() -> Iterator[tuple[dict[str, str], float]]:
        for one in registries:
            yield {"group": one.resource.group, "resource": one.resource.plural}, one.collection.revision

    def received() -> Iterator[tuple[dict[str, str], float]]:
        for one in registries:
            yield {"group": one.resource.group, "resource": one.resource.plural}, one.collection.received

    metrics.gauge("apiserver_watch_cache_resource_version", "The revision up to which the watch cache has every change.", revisions)
    metrics.counter("apiserver_watch_cache_events_received_total", "Changes that the watch cache received.", received)
    text = "Bytes of the changes that are kept for watches."
    metrics.gauge("metal3_workloads_watch_history_bytes", text, lambda: [({}, cache.history_used)])
    text = "Bytes that these changes may have (--watch-history-bytes)."
    metrics.gauge("metal3_workloads_watch_history_limit_bytes", text, lambda: [({}, cache.history_limit)])
    metrics.gauge("metal3_workloads_watch_cache_failed", "Whether only a restart helps.", lambda: [({}, cache.failure is not None)])
