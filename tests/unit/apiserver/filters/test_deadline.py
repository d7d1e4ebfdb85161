"""Check the deadline of each kind of request."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.filters.deadline import UNITS, allotted, duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), (".5s", 0.5), ("-1s", -1), ("+2s", 2), ("1h0m0.5s", 3600.5)],
)
def test_durations_as_go_writes_them(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "1", "s", "1x", "1 s", " 1s", "1s ", "1s2", "1,5s", "--1s", "inf", "٣s", "1" * 65 + "s"])
def test_invalid_durations(text: str) -> None:
    assert duration(text) is None


@given(st.text())
def test_nothing_breaks_the_parser(text: str) -> None:
    seconds = duration(text)
    assert seconds is None or math.isfinite(seconds)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert duration(text) == pytest.approx(sum(number * UNITS[unit] for number, unit in parts))


def test_clients_may_ask_for_less_only() -> None:
    assert [allotted(text, 34.0) for text in ("", "10s", "1h", "0", "-5s")] == [34.0, 10.0, 34.0, 34.0, 34.0]
    with pytest.raises(ApiError, match="invalid timeout"):
        allotted("soon", 34.0)
