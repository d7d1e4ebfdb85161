"""Test how metrics are read and written: at a bounded cost, and without text of clients."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from apiserver.handlers.request.call import parse
from apiserver.server.metrics import Metrics, render

if TYPE_CHECKING:
    from prometheus_client.core import Metric

SERVED = [("g", f"v{number}", "things") for number in range(40)]


async def families(metrics: Metrics) -> dict[str, Metric]:
    """Return the metrics as a scraper reads them."""
    return {family.name: family for family in text_string_to_metric_families((await render(metrics.registry)).decode())}


async def test_requests_have_the_labels_of_kube_apiserver() -> None:
    metrics = Metrics(SERVED)
    metrics.record(parse("POST", "/apis/g/v1/namespaces/a/things", {}), 201, 0.02, dry_run=True)
    found = await families(metrics)
    labels = {
        "component": "apiserver",
        "dry_run": "All",
        "group": "g",
        "resource": "things",
        "scope": "namespace",
        "subresource": "",
        "verb": "CREATE",
        "version": "v1",
    }
    (count,) = found["apiserver_request"].samples
    assert (count.name, count.labels, count.value) == ("apiserver_request_total", {**labels, "code": "201"}, 1)
    durations = found["apiserver_request_duration_seconds"]
    assert durations.type == "histogram"
    reached = {sample.labels.pop("le"): sample for sample in durations.samples if sample.name.endswith("_bucket")}
    assert {bound: sample.value for bound, sample in reached.items()}["0.01"] == 0
    assert all(sample.labels == labels and sample.value == 1 for bound, sample in reached.items() if float(bound) >= 0.025)


async def test_a_dry_run_of_what_is_not_served_has_no_series_of_its_own() -> None:
    metrics = Metrics(SERVED)
    for dry_run in (False, True):
        metrics.record(parse("POST", "/apis/made/up/canary", {}), 404, 0.1, dry_run=dry_run)
    (count,) = (await families(metrics))["apiserver_request"].samples
    assert count.value == 2


async def test_build_info_names_the_version() -> None:
    (sample,) = (await families(Metrics()))["metal3_workloads_build_info"].samples
    assert sample.labels["version"]
    assert sample.value == 1


async def test_writing_many_series_does_not_hold_the_event_loop() -> None:
    metrics = Metrics(SERVED)
    for _, version, _ in SERVED:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            for name in ("", "/a", "/a/status"):
                metrics.record(parse(method, f"/apis/g/{version}/things{name}", {}), 200, 0.1)
    began = time.thread_time()
    rendering = asyncio.create_task(render(metrics.registry))
    text = await rendering
    on_the_loop = time.thread_time() - began
    began = time.thread_time()
    assert list(text_string_to_metric_families(text.decode()))
    # Reading the text takes about as long as writing it. Both are done in this thread otherwise.
    assert on_the_loop < (time.thread_time() - began) / 2
    assert text.count(b"\n") > 10_000
