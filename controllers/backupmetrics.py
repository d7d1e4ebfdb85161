"""Export when the backups' CronJobs last succeeded, so that their age is known without
kube-state-metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.client.client import Client
from apiserver.client.clock import seconds_of
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource, name_of

log = logging.getLogger(__name__)

CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob")
SELECTOR = "app.kubernetes.io/part-of=metal3-workloads,app.kubernetes.io/component in (backup,etcd-backup)"
"""The labels of the CronJobs in manifests/components/backup and manifests/etcd-backup."""
SECONDS = 30.0
"""The seconds between two reads of the CronJobs."""
NAME = "metal3_workloads_backup_last_success_timestamp_seconds"


class BackupMetrics(Collector):
    """Export the time of each CronJob's last backup. While the cluster does not answer, the times
    are those that were read last."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._times: dict[str, float] = {}
        self._complaint = ""

    async def run(self) -> None:
        """Read the CronJobs every SECONDS until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(SECONDS)

    async def read(self) -> None:
        """Read the CronJobs once."""
        try:
            found, _ = await self._client.list_all(CRON_JOBS, self._namespace, label_selector=SELECTOR)
        except ApiException as error:
            if error.not_found:
                return  # a cluster without the kind has no such backups, as in dev mode
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("the CronJobs of backups cannot be read, so no alert tells of old backups: %s", error)
            return
        self._times, self._complaint = times_of(found), ""

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        text = "When a CronJob last took a backup; when it was created, if it has taken none."
        family = GaugeMetricFamily(NAME, text, labels=["cronjob"])
        for name, seconds in self._times.items():
            family.add_metric([name], seconds)
        yield family


def times_of(cron_jobs: Iterable[Object]) -> dict[str, float]:
    """Return the seconds since the epoch of the last success of each CronJob, or of its creation."""
    return {
        name_of(one): seconds_of((one.get("status") or {}).get("lastSuccessfulTime") or one["metadata"]["creationTimestamp"])
        for one in cron_jobs
    }
