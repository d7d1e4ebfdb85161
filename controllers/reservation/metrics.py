"""Count the hosts of Reservations. Only the owner of the hardware can create series here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.apis.reservation import is_expired
from apiserver.client.objects import Object, name_of, namespace_of
from controllers.runtime.conditions import is_true
from controllers.workload.stalled import STALLED

LABELS = ("namespace", "reservation", "class")
STATES = ("used", "available", "missing")


class ReservationMetrics(Collector):
    """The hosts of each Reservation by their state, and whether it is stalled, as its status
    says."""

    def __init__(self, reservations: Iterable[Object]) -> None:
        self._reservations = reservations

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        text = "Whether a Reservation that has not ended keeps no hosts until it, its class or its namespace is changed."
        stalled = GaugeMetricFamily("metal3_workloads_reservation_stalled", text, labels=LABELS)
        text = "Hosts of each Reservation by their state."
        hosts = GaugeMetricFamily("metal3_workloads_reservation_hosts", text, labels=(*LABELS, "state"))
        for one in self._reservations:
            status, labels = one.get("status") or {}, (namespace_of(one), name_of(one), one["spec"]["className"])
            for state in STATES:
                hosts.add_metric((*labels, state), status.get(state) or 0)
            stalled.add_metric(labels, float(is_true(status.get("conditions"), STALLED) and not is_expired(one)))
        yield from (hosts, stalled)
