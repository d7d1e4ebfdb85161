"""Export for how long namespaces had hosts, as counters that follow from UsageRecords.

The counters are sums over the stored records. So a restarted process or another leader begins with
the same values, and counts nothing twice. A scrape costs nothing per host. Namespaces and sizes
beyond SERIES share one series, because tenants must not fill Prometheus.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.client.client import Client
from apiserver.client.clock import seconds_of
from apiserver.client.informer import Informer
from apiserver.client.objects import Object
from controllers import kinds
from controllers.usage import holder

SERIES = 5000
"""The most series of a counter: namespaces with their classes and sizes of hosts."""
LABELS = ("namespace", "class", "size")
OTHERS = ("", "", "")
"""The labels of the series that all keys beyond SERIES share."""

Key = tuple[str, str, str]


class UsageMetrics(Collector):
    """The counters of one cluster. Pass every change of a record to `changed`. `clock` returns the
    seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._allocated, self._powered_on = _Amounts(), _Amounts()
        self._keys: set[Key] = set()

    def changed(self, old: Object | None, new: Object | None) -> None:
        """Process a change of a record. Both arguments have the form of `summary`.

        The server deletes the record of a host that was deleted long ago. Its amounts stay in the
        counters until the process ends, because a counter must not decrease."""
        if new is None and old is not None:
            new = {**old, "spec": {**old["spec"], "current": None}}
        for record, sign in ((old, -1), (new, 1)):
            if record is not None:
                self._add(record, sign)

    def collect(self) -> Iterator[Metric]:
        """Return the present values. They never decrease while this process lives."""
        now = self._clock()
        texts = ("Seconds for which namespaces had hosts.", "Seconds of these for which the hosts were powered on.")
        for name, text, amounts in zip(("allocated", "powered_on"), texts, (self._allocated, self._powered_on), strict=True):
            family = CounterMetricFamily(f"metal3_workloads_host_{name}_seconds", text, labels=LABELS)
            for key in self._keys:
                family.add_metric(key, amounts.value(key, now))
            yield family

    def _add(self, record: Object, sign: int) -> None:
        spec = record["spec"]
        for key, (allocated, powered_on) in spec["sums"].items():
            self._allocated.ended[self._series(key)] += sign * allocated
            self._powered_on.ended[self._series(key)] += sign * powered_on
        if (current := spec.get("current")) is not None:
            key = self._series(_key(current))
            self._allocated.present(key, seconds_of(current["since"]), sign)
            if current["poweredOn"]:
                self._powered_on.present(key, seconds_of(current["since"]), sign)

    def _series(self, key: Key) -> Key:
        """Return the labels under which a key is counted: its own, or OTHERS beyond SERIES."""
        if key not in self._keys and len(self._keys) >= SERIES:
            key = OTHERS
        self._keys.add(key)
        return key


class _Amounts:
    """The seconds of one counter by key.

    `ended` are those of ended intervals. For hosts in use, it keeps their number and the sum of the
    times since when they are in use."""

    def __init__(self) -> None:
        self.ended: Counter[Key] = Counter()
        self._hosts: Counter[Key] = Counter()
        self._began: Counter[Key] = Counter()
        self._shown: dict[Key, float] = {}

    def present(self, key: Key, since: int, sign: int) -> None:
        """Add (`sign` 1) or remove (`sign` -1) a host that is in use since `since`."""
        self._hosts[key] += sign
        self._began[key] += sign * since

    def value(self, key: Key, now: float) -> float:
        """Return the seconds up to `now`.

        They never decrease, although the server's clock, by which intervals end, may be behind this
        process's clock."""
        found = self.ended[key] + self._hosts[key] * now - self._began[key]
        self._shown[key] = max(found, self._shown.get(key, 0.0))
        return self._shown[key]


class UsageFollower:
    """Follows the records for UsageMetrics.

    It has an informer of its own, `records`. So an API server of an earlier version, which does not
    serve records, does not hold up the controllers."""

    def __init__(self, client: Client) -> None:
        self.metrics = UsageMetrics()
        self.records = Informer(client, kinds.USAGE, transform=summary)
        self.records.add_handler(self.metrics.changed)

    async def run(self) -> None:
        """Follow the records until cancelled."""
        await self.records.run()


def summary(record: Object) -> Object:
    """Return a record reduced to the fields that the metrics need: sums by key, and the present
    use."""
    sums: dict[Key, tuple[int, int]] = {}
    for interval in record["spec"].get("intervals") or ():
        allocated, powered_on = sums.get(key := _key(interval), (0, 0))
        sums[key] = allocated + interval["allocatedSeconds"], powered_on + interval["poweredOnSeconds"]
    kept = {field: record["metadata"][field] for field in ("name", "uid", "resourceVersion") if field in record["metadata"]}
    return {"metadata": kept, "spec": {"sums": sums, "current": record["spec"].get("current")}}


def _key(interval: Object) -> Key:
    namespace, _, class_name, size = holder(interval)
    return namespace, class_name, size
