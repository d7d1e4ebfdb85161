"""Ask an etcd member how large its database is, how large it may become, and whether it is full.

etcd 3.6 reports all three in one answer. Older releases report their quota only in their metrics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from storage.etcd.cluster import Cluster
from storage.etcd.errors import GatewayError

_QUOTA = re.compile(r"^etcd_server_quota_backend_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes of one member's database file, its quota (0: unknown), and whether etcd's alarm
    says that a member has no room."""

    used: int
    quota: int
    full: bool


async def size_of(cluster: Cluster) -> Size:
    """Return the size of the member in use. Raises the errors of Cluster.read."""
    status = await cluster.read("/maintenance/status", b"{}")
    quota = int(status.get("dbSizeQuota", 0)) or await _quota(cluster)
    alarms = status.get("errors") or ()
    return Size(int(status.get("dbSize", 0)), quota, full=any("NOSPACE" in str(alarm) for alarm in alarms))


async def _quota(cluster: Cluster) -> int:
    try:
        return quota_in(await cluster.current.metrics_text(cluster.timeout))
    except GatewayError:
        return 0


def quota_in(metrics: str) -> int:
    """Return the quota in bytes from a member's metrics, or 0 if they do not contain it."""
    found = _QUOTA.search(metrics)
    return 0 if found is None else int(float(found[1]))
