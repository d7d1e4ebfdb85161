"""Count the hosts of Reservations. Only the owner of the hardware can create series here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.client.objects import Object, name_of, namespace_of

STATES = ("used", "available", "missing")


class ReservationMetrics(Collector):
    """The hosts of each Reservation by their state, as its status says."""

    def __init__(self, reservations: Iterable[Object]) -> None:
        self._reservations = reservations

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        labels = ("namespace", "reservation", "class", "state")
        family = GaugeMetricFamily("metal3_workloads_reservation_hosts", "Hosts of each Reservation by their state.", labels=labels)
        for one in self._reservations:
            status = one.get("status") or {}
            for state in STATES:
                family.add_metric((namespace_of(one), name_of(one), one["spec"]["className"], state), status.get(state) or 0)
        yield family
