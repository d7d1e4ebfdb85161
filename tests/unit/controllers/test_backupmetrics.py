"""Check the metric of the last backup's time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from apiserver.client.errors import ApiException
from controllers.backupmetrics import NAME, BackupMetrics, times_of

if TYPE_CHECKING:
    import pytest


def cron_job(name: str, **status: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": "1970-01-01T00:01:00Z"}, "status": status}


class Cluster:
    """A management cluster with these CronJobs, or with an error."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] | ApiException = []

    async def list_all(self, *_: object, **__: object) -> tuple[list[dict[str, Any]], str]:
        if isinstance(self.found, ApiException):
            raise self.found
        return self.found, "7"


def samples(metrics: BackupMetrics) -> dict[str, float]:
    (family,) = metrics.collect()
    assert family.name == NAME
    return {sample.labels["cronjob"]: sample.value for sample in family.samples}


def test_the_last_success_counts_and_before_it_the_creation() -> None:
    assert times_of([cron_job("a", lastSuccessfulTime="1970-01-01T00:02:00Z"), cron_job("b", lastScheduleTime="1970-01-01T01:00:00Z")]) == {
        "a": 120.0,
        "b": 60.0,
    }


async def test_the_times_stay_while_the_cluster_does_not_answer() -> None:
    cluster = Cluster()
    metrics = BackupMetrics(cast("Any", cluster), "system")
    assert samples(metrics) == {}
    cluster.found = [cron_job("a")]
    await metrics.read()
    cluster.found = ApiException(503, "ServiceUnavailable", "down")
    await metrics.read()
    assert samples(metrics) == {"a": 60.0}
    cluster.found = []
    await metrics.read()
    assert samples(metrics) == {}


async def test_a_missing_right_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    metrics = BackupMetrics(cast("Any", cluster), "system")
    cluster.found = ApiException(403, "Forbidden", "cronjobs.batch is forbidden")
    await metrics.read()
    await metrics.read()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cronjobs.batch is forbidden" in caplog.text
    cluster.found = []
    await metrics.read()
    cluster.found = ApiException(403, "Forbidden", "cronjobs.batch is forbidden")
    await metrics.read()
    assert len(caplog.records) == 2


async def test_a_cluster_without_cronjobs_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    cluster.found = ApiException(404, "NotFound", "the server could not find the requested resource")
    await BackupMetrics(cast("Any", cluster), "system").read()
    assert caplog.records == []
