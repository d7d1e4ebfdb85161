"""Check the sums of the use of hosts: they add up over namespaces and over adjoining periods."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apiserver.client.clock import seconds_of, timestamp
from apiserver.registry.claims.usagerecords import updated_spec
from controllers.usage import Report, report

START = seconds_of("2026-11-01T00:00:00Z")


def record(*intervals: tuple[str, int, int, int, int], name: str = "h", current: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a record of intervals: namespace, begin, end, allocated and powered-on seconds."""
    made = [
        {
            "namespace": who,
            "from": timestamp(START + begin),
            "to": timestamp(START + end),
            "allocatedSeconds": allocated,
            "poweredOnSeconds": on,
        }
        for who, begin, end, allocated, on in intervals
    ]
    return {"metadata": {"name": name}, "spec": {"host": "node-0", "intervals": made, **({"current": current} if current else {})}}


def of(made: Report) -> dict[str, tuple[int, int]]:
    return {row["namespace"]: (row["allocatedSeconds"], row["poweredOnSeconds"]) for row in made.rows()}


def test_the_first_second_of_a_period_belongs_to_it_and_the_last_does_not() -> None:
    records = [record(("a", 0, 10, 10, 10), ("b", 10, 20, 10, 0))]
    assert of(report(records, START, START + 10, START + 99)) == {"a": (10, 10)}
    assert of(report(records, START + 9, START + 11, START + 99)) == {"a": (1, 1), "b": (1, 0)}
    assert of(report(records, START + 20, START + 30, START + 99)) == {}
    assert of(report(records, START + 5, START + 5, START + 99)) == {}


def test_what_is_in_use_counts_up_to_now_or_the_end() -> None:
    current = {"namespace": "a", "poweredOn": True, "since": timestamp(START + 10)}
    records = [record(current=current)]
    assert of(report(records, START, START + 100, START + 15)) == {"a": (5, 5)}
    assert of(report(records, START, START + 12, START + 15)) == {"a": (2, 2)}
    assert of(report(records, START, START + 100, START + 10)) == {}
    assert of(report(records, START, START + 100, START)) == {}, "a clock behind the server's"


def test_a_namespace_of_the_same_name_a_class_and_a_size_have_rows_of_their_own() -> None:
    one = record(("a", 0, 10, 10, 0))
    for number, field in enumerate(("namespaceUID", "className", "size")):
        one["spec"]["intervals"].append({**one["spec"]["intervals"][0], field: str(number)})
    made = report([one, record(("a", 0, 10, 10, 0), name="other")], START, START + 10, START + 10)
    assert [(row["hosts"], row["allocatedSeconds"]) for row in made.rows()] == [(2, 20), (1, 10), (1, 10), (1, 10)]
    assert made.total() == {"hosts": 2, "allocatedSeconds": 50, "poweredOnSeconds": 0}


def test_a_part_of_a_sum_is_an_estimate_and_says_so() -> None:
    records = [record(("a", 0, 86400, 3600, 1800))]
    assert not report(records, START, START + 86400, START + 86400).estimated
    half = report(records, START, START + 43200, START + 86400)
    assert (half.estimated, of(half)) == (True, {"a": (1800, 900)})
    exact = report([record(("a", 0, 86400, 86400, 0))], START, START + 43200, START + 86400)
    assert (exact.estimated, of(exact)) == (False, {"a": (43200, 0)})


TIMES = st.integers(0, 3 * 86400)


@st.composite
def parts_of_days(draw: st.DrawFn) -> tuple[str, int, int, int, int]:
    """Return an interval that may be a sum: a namespace, begin, end, allocated and powered-on
    seconds."""
    begin, end = sorted(draw(st.lists(TIMES, min_size=2, max_size=2, unique=True)))
    allocated = draw(st.integers(0, end - begin))
    return draw(st.sampled_from("abc")), begin, end, allocated, draw(st.integers(0, allocated))


@given(st.lists(parts_of_days(), max_size=12), st.lists(TIMES, min_size=1, max_size=4))
def test_adjoining_periods_add_up(parts: list[tuple[str, int, int, int, int]], cuts: list[int]) -> None:
    records, now = [record(*parts)], START + 3 * 86400
    times = [START, *(START + cut for cut in sorted(cuts)), now]
    pieces = [report(records, *pair, now).total() for pair in pairwise(times)]
    whole = report(records, START, now, now).total()
    for index, amount in enumerate(("allocatedSeconds", "poweredOnSeconds")):
        assert sum(piece[amount] for piece in pieces) == whole[amount]
        assert whole[amount] == sum(part[3:][index] for part in parts)


STATES = st.one_of(st.none(), st.tuples(st.sampled_from("abc"), st.booleans()))


@given(st.lists(st.tuples(STATES, st.integers(-50, 250)), max_size=12), st.integers(0, 3000), st.integers(0, 3000))
def test_the_report_of_a_host_equals_its_life(steps: list[tuple[tuple[str, bool] | None, int]], one: int, other: int) -> None:
    """The clock also steps back. No second belongs to two holders."""
    spec: dict[str, Any] | None = None
    life, clock, since, state = dict[int, tuple[str, bool]](), START, 0, None
    for after, length in [*steps, (None, 0)]:
        host: dict[str, Any] = {"spec": {"className": "metal", "source": {"name": "n"}}, "status": {"report": {"status": {}}}}
        if after is not None:
            host["spec"]["claimRef"] = {"namespace": after[0]}
            host["status"]["report"]["status"]["poweredOn"] = after[1]
        if after != state:
            at = max(clock, since if state else 0, *(second + 1 for second in life))
            life.update(dict.fromkeys(range(since, at), state) if state else {})
            state, since = after, at
        spec = updated_spec(spec, host, clock)
        clock += length
    begin, end = START + min(one, other), START + max(one, other)
    made = of(report([{"metadata": {"name": "h"}, "spec": spec}], begin, end, clock))
    lived = [held for second in range(begin, end) if (held := life.get(second)) is not None]
    expected = {who: (sum(held[0] == who for held in lived), lived.count((who, True))) for who in "abc"}
    assert made == {who: amounts for who, amounts in expected.items() if amounts[0]}
