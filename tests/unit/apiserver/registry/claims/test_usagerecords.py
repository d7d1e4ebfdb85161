"""Check what is recorded of a host's use: every second once, bounded, and right when clocks step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.usagerecord import UsageRecord
from apiserver.client.clock import seconds_of, timestamp
from apiserver.registry.claims.usagerecords import BYTES, DAY, bounded, ended, released, size, updated_spec

START = seconds_of("2026-11-29T22:00:00Z")
HARDWARE = {"cpu": {"count": 16}, "ramMebibytes": 65536, "storage": [{"sizeBytes": 2**40}]}


def host(namespace: str = "", *, uid: str = "", on: bool = False, class_name: str = "metal", **status: Any) -> dict[str, Any]:
    """Return a Host, claimed for a namespace if one is given."""
    spec: dict[str, Any] = {"className": class_name, "source": {"name": "node-0", "uid": "u"}}
    if namespace:
        spec["claimRef"] = {"namespace": namespace, "name": "web", "uid": "w", "namespaceUID": uid or f"uid-{namespace}"}
    report = {"status": {"poweredOn": on, "hardware": HARDWARE}}
    return {"metadata": {"name": "h"}, "spec": spec, "status": {"report": report, **status}}


def story(*steps: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the record after Hosts at seconds after START."""
    spec: dict[str, Any] | None = None
    for after, state in steps:
        spec = updated_spec(spec, state, START + after)
    assert spec is not None
    return spec


def total(spec: dict[str, Any], field: str = "allocatedSeconds") -> Counter[str]:
    found = Counter[str]()
    for interval in spec.get("intervals", ()):
        found[interval["namespace"]] += interval[field]
    return found


def test_each_second_is_counted_for_the_namespace_that_had_the_host() -> None:
    spec = story((0, host("a")), (10, host("a", on=True)), (70, host("a")), (80, host()), (100, host("b")), (101, host()))
    assert "current" not in spec
    assert total(spec) == {"a": 80, "b": 1}
    assert total(spec, "poweredOnSeconds") == {"a": 60, "b": 0}
    assert spec["intervals"][1] == {
        "namespace": "a",
        "namespaceUID": "uid-a",
        "className": "metal",
        "size": "16 CPU, 64Gi, 1Ti",
        "from": "2026-11-29T22:00:10Z",
        "to": "2026-11-29T22:01:10Z",
        "allocatedSeconds": 60,
        "poweredOnSeconds": 60,
    }
    record = {"metadata": {"name": "h"}, "spec": spec}
    assert UsageRecord.decode(record).encode()["spec"] == spec


def test_what_changes_nothing_writes_nothing() -> None:
    spec = story((0, host("a", on=True)))
    assert updated_spec(spec, host("a", on=True), START + 60) is spec
    free = story((0, host("a")), (5, host()))
    assert updated_spec(free, host(), START + 60) is free


def test_a_host_that_is_kept_from_others_belongs_to_the_namespace() -> None:
    kept = host()
    kept["spec"]["chargedTo"] = {"namespace": "a", "namespaceUID": "uid-a", "name": "web", "uid": "w"}
    spec = story((0, host("a")), (10, kept), (25, host()))
    assert total(spec) == {"a": 25}
    assert len(spec["intervals"]) == 1


def test_a_namespace_of_the_same_name_is_another_one() -> None:
    spec = story((0, host("a", uid="one")), (5, host("a", uid="two")), (15, host()))
    assert [(one["namespaceUID"], one["allocatedSeconds"]) for one in spec["intervals"]] == [("one", 5), ("two", 10)]


def test_another_class_begins_another_interval_and_an_unknown_size_does_not() -> None:
    inspected = host("a")
    del inspected["status"]["report"]["status"]["hardware"]
    spec = story((0, host("a")), (5, inspected), (10, host("a", class_name="gpu")), (30, host()))
    assert [(one["className"], one["allocatedSeconds"]) for one in spec["intervals"]] == [("metal", 10), ("gpu", 20)]


def test_a_clock_that_steps_back_counts_nothing_twice() -> None:
    spec = story((0, host("a")), (3600, host("b")), (60, host("c")), (1800, host("d")), (3700, host()))
    assert total(spec) == {"a": 3600, "d": 100}


def test_a_claim_that_begins_and_ends_in_one_second_leaves_nothing() -> None:
    spec = story((0, host("a")), (0, host()), (0, host("b")), (0, host("b", on=True)), (9, host()))
    assert total(spec) == {"b": 9}
    assert len(spec["intervals"]) == 1


def test_a_record_begins_with_the_history_of_earlier_versions() -> None:
    history = [
        {
            "namespace": "a",
            "namespaceUID": "uid-a",
            "name": "w",
            "uid": "1",
            "className": "old",
            "boundAt": timestamp(START),
            "releasedAt": timestamp(START + 50),
        },
        {"namespace": "z", "name": "w", "uid": "2"},
        {"namespace": "b", "name": "w", "uid": "3", "boundAt": timestamp(START + 40), "image": "x"},
    ]
    spec = updated_spec(None, host("b", on=True, history=history), START + 100)
    assert [(one["namespace"], one["className"], one["allocatedSeconds"], one["poweredOnSeconds"]) for one in spec["intervals"]] == [
        ("a", "old", 50, 0),
        ("b", "metal", 50, 0),
    ]
    assert spec["current"]["since"] == timestamp(START + 100)
    assert updated_spec(spec, host(), START + 110)["intervals"][-1]["poweredOnSeconds"] == 10


def test_a_deleted_host_is_released() -> None:
    spec = released(story((0, host("a", on=True))), START + 7)
    assert total(spec) == {"a": 7}
    assert ended(spec) == START + 7
    assert ended(story((0, host("a")))) is None


@pytest.mark.parametrize(
    ("hardware", "expected"), [({}, None), ({"ramMebibytes": 1024}, "1Gi"), ({"cpu": {"count": 2}, "storage": [{}]}, "2 CPU")]
)
def test_the_size_has_the_known_hardware(hardware: dict[str, Any], expected: str | None) -> None:
    assert size({"status": {"report": {"status": {"hardware": hardware}}}}) == expected


def test_power_that_is_toggled_for_months_does_not_let_the_record_grow() -> None:
    """The sums stay right, and whole days can be told apart for weeks."""
    spec = story((0, host("a")))
    for number in range(1, 4000):
        spec = updated_spec(spec, host("a" if number % 5 else "b", on=bool(number % 2)), START + number * 600)
    spec = updated_spec(spec, host(), START + 4000 * 600)
    assert len(orjson.dumps(spec["intervals"])) <= BYTES
    assert sum(total(spec).values()) == 4000 * 600
    days = [one for one in spec["intervals"] if seconds_of(one["to"]) - seconds_of(one["from"]) <= DAY]
    assert len(days) > len(spec["intervals"]) // 2


HOLDERS = st.sampled_from(["a", "b", "c" * 63])


@given(
    st.lists(st.tuples(HOLDERS, st.integers(1, 3 * DAY), st.booleans(), st.integers(0, 40)), min_size=1, max_size=60), st.integers(1, 40)
)
def test_sums_by_holder_survive_the_bound(parts: list[tuple[str, int, bool, int]], often: int) -> None:
    intervals, at = list[dict[str, Any]](), START
    for namespace, length, on, pause in parts * often:
        at += pause
        one = {"namespace": namespace, "from": timestamp(at), "to": timestamp(at + length)}
        intervals.append({**one, "allocatedSeconds": length, "poweredOnSeconds": length * on})
        at += length
    made = bounded(intervals)
    for field in ("allocatedSeconds", "poweredOnSeconds"):
        assert total({"intervals": made}, field) == total({"intervals": intervals}, field)
    assert all(0 <= one["poweredOnSeconds"] <= one["allocatedSeconds"] <= seconds_of(one["to"]) - seconds_of(one["from"]) for one in made)
    assert bounded(made) == made or len(orjson.dumps(made)) > BYTES


def test_any_number_of_namespaces_stays_within_the_bound() -> None:
    intervals = list[dict[str, Any]]()
    for number in range(2000):
        begin = START + number * 40 * DAY
        one = {"namespace": f"n{number}", "className": "c" * 253, "from": timestamp(begin), "to": timestamp(begin + 40 * DAY)}
        intervals = bounded([*intervals, {**one, "allocatedSeconds": 40 * DAY, "poweredOnSeconds": 0}])
        assert len(orjson.dumps(intervals)) <= BYTES
    assert sum(total({"intervals": intervals}).values()) == 2000 * 40 * DAY
    assert intervals[0]["namespace"] == ""
    assert intervals[0]["className"] == "c" * 253
