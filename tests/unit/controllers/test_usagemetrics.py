"""Check the counters of use against records: they follow from what is stored, and never decrease."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from apiserver.registry.claims.usagerecords import updated_spec
from controllers.usage import report
from controllers.usagemetrics import SERIES, UsageMetrics, summary
from tests.unit.apiserver.registry.claims.test_usagerecords import START, host
from tests.unit.cost import assert_cheaper


class Fleet:
    """The records of some hosts, and the counters of them."""

    def __init__(self) -> None:
        self.now = START
        self.records: dict[str, dict[str, Any]] = {}
        self.start()

    def start(self) -> None:
        """Start another process, which sees what is stored."""
        self.metrics = UsageMetrics(lambda: float(self.now))
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)
        for record in self.records.values():
            self.metrics.changed(None, summary(record))

    def write(self, name: str, state: dict[str, Any]) -> None:
        old = self.records.get(name)
        spec = updated_spec(old["spec"] if old is not None else None, state, self.now)
        self.records[name] = {"metadata": {"name": name}, "spec": spec}
        self.metrics.changed(summary(old) if old is not None else None, summary(self.records[name]))

    def value(self, what: str, namespace: str, class_name: str = "metal") -> float | None:
        labels = {"namespace": namespace, "class": class_name, "size": "16 CPU, 64Gi, 1Ti"}
        return self.registry.get_sample_value(f"metal3_workloads_host_{what}_seconds_total", labels)


def test_counters_go_on_while_a_host_is_in_use_and_stay_afterwards() -> None:
    fleet = Fleet()
    fleet.write("h", host("a"))
    fleet.now += 10
    fleet.write("h", host("a", on=True))
    fleet.now += 5
    assert (fleet.value("allocated", "a"), fleet.value("powered_on", "a")) == (15, 5)
    fleet.write("h", host())
    fleet.now += 100
    assert (fleet.value("allocated", "a"), fleet.value("powered_on", "a")) == (15, 5)
    assert fleet.value("allocated", "b") is None


def test_another_leader_goes_on_with_the_same_values() -> None:
    fleet = Fleet()
    for number in range(3):
        fleet.write(f"h-{number}", host("a", on=True))
    fleet.now += 60
    fleet.write("h-0", host())
    before = fleet.value("allocated", "a")
    fleet.start()
    assert fleet.value("allocated", "a") == before == 180
    fleet.now += 10
    assert fleet.value("allocated", "a") == 200


def test_a_clock_ahead_of_the_servers_makes_no_counter_decrease() -> None:
    fleet = Fleet()
    fleet.write("h", host("a"))
    fleet.now += 30
    assert fleet.value("allocated", "a") == 30
    fleet.now -= 20
    assert fleet.value("allocated", "a") == 30
    fleet.write("h", host())
    assert fleet.value("allocated", "a") == 30


def test_the_counters_of_a_deleted_record_stay() -> None:
    fleet = Fleet()
    fleet.write("h", host("a"))
    fleet.now += 30
    fleet.metrics.changed(summary(fleet.records["h"]), None)
    fleet.now += 30
    assert fleet.value("allocated", "a") == 0
    fleet.write("h", host())
    fleet.start()
    fleet.metrics.changed(summary(fleet.records["h"]), None)
    assert fleet.value("allocated", "a") == 60


def test_many_namespaces_share_a_series() -> None:
    """Who may create namespaces could fill Prometheus otherwise."""
    fleet = Fleet()
    for number in range(SERIES + 50):
        fleet.write(f"h-{number}", host(f"n-{number}"))
    fleet.now += 2
    allocated, _ = fleet.metrics.collect()
    values = {tuple(sample.labels.values()): sample.value for sample in allocated.samples}
    assert len(values) == SERIES + 1
    assert values["", "", ""] == 100
    assert sum(values.values()) == 2 * (SERIES + 50)
    fleet.write("h-0", host("new"))
    fleet.write("h-1", host("n-0"))
    allocated, _ = fleet.metrics.collect()
    assert len(allocated.samples) == SERIES + 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["h-0", "h-1"]), st.sampled_from(["", "a", "b"]), st.booleans(), st.integers(0, 100)), max_size=20
)


@given(STEPS)
def test_counters_equal_the_report(steps: list[tuple[str, str, bool, int]]) -> None:
    fleet = Fleet()
    for name, namespace, on, length in steps:
        fleet.write(name, host(namespace, on=on))
        fleet.now += length
    for row in report(fleet.records.values(), START, fleet.now, fleet.now).rows():
        found = fleet.value("allocated", row["namespace"]), fleet.value("powered_on", row["namespace"])
        assert found == (row["allocatedSeconds"], row["poweredOnSeconds"])


def test_reading_costs_nothing_per_host() -> None:
    def fleet(count: int) -> Fleet:
        made = Fleet()
        for number in range(count):
            made.write(f"h-{number}", host("a"))
        return made

    small, large = fleet(10), fleet(1000)
    assert_cheaper(lambda: list(large.metrics.collect()), lambda: list(small.metrics.collect()), 5)
