"""Check what `metal3-workloads usage` reads and prints."""

from __future__ import annotations

import argparse
import csv
from datetime import UTC, datetime
from io import StringIO

import pytest

from apiserver.cli.running import UsageError
from apiserver.client.clock import seconds_of
from controllers.cli.usage import as_csv, content, moment, period, shown
from controllers.usage import Report, Use, report
from tests.unit.controllers.test_usage import START, record

NOW = seconds_of("2026-11-29T12:00:00Z")


def of(*namespaces: str, uid: str = "") -> Report:
    return Report(START, START + 60, {(name, uid, "metal", "16 CPU, 64Gi"): Use(60, 30, {"h"}) for name in namespaces}, estimated=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-01T08:00:00Z", "2026-11-01T08:00:00Z"),
        ("2026-11-01t08:00:00z", "2026-11-01T08:00:00Z"),
        ("2026-11-01T08:00:00+02:00", "2026-11-01T06:00:00Z"),
        ("2026-11-01T00:00:00-23:59", "2026-11-01T23:59:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("1970-01-01", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_a_date_or_a_time_with_its_zone(text: str, expected: str) -> None:
    assert moment(text) == seconds_of(expected)


REFUSED = ["", "now", "2026-11-31", "2026-11-01T08:00:00", "2026-11-01 08:00:00Z", "2026-11-01T08:00:00.5Z", "2026-W48-1", "20261101"]
REFUSED += ["2026-11-01T08:00:60Z", "2026-11-01T08:00:00+25:00", "２０２６-11-01", "\x1b[2J", "9" * 5000, "2026-11-01\n", "0001-01-01"]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_anything_else_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        moment(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_the_period_is_this_month_unless_something_else_is_asked_for() -> None:
    november, october = seconds_of("2026-11-01T00:00:00Z"), seconds_of("2026-10-01T00:00:00Z")
    assert period(None, None, NOW) == (november, NOW)
    assert period(None, november, NOW) == (october, november)
    assert period(october, NOW + 5, NOW) == (october, NOW)
    assert period(october, october, NOW) == (october, october)
    with pytest.raises(UsageError, match="exchange"):
        period(november, october, NOW)
    for end in (NOW + 2, None):
        with pytest.raises(UsageError, match="future"):
            period(NOW + 1, end, NOW)


def test_the_latest_time_of_all_is_read_and_clamped() -> None:
    assert period(START, moment("9999-12-31T23:59:59-14:00"), NOW) == (START, NOW)


def test_a_table_has_the_sums_last() -> None:
    first, head, row, last = shown(of("a")).splitlines()
    assert first == "from 2026-11-01T00:00:00Z to 2026-11-01T00:01:00Z"
    assert head.split() == ["TENANT", "CLASS", "SIZE", "HOSTS", "ALLOCATED", "SECONDS", "POWERED-ON", "SECONDS"]
    assert row.split() == ["a", "metal", "16", "CPU,", "64Gi", "1", "60", "30"]
    assert last.split() == ["(all)", "1", "60", "30"]


def test_namespaces_of_the_same_name_are_distinguished_by_uid() -> None:
    uses = {**of("a", uid="one").uses, **of("a", uid="two").uses}
    assert "one" in shown(Report(0, 60, uses, estimated=False))
    assert "UID" not in shown(of("a", "b", uid="one"))


def test_json_has_all() -> None:
    made = content(report([record(("a", 0, 60, 60, 30))], START, START + 60, NOW))
    assert made == {
        "from": "2026-11-01T00:00:00Z",
        "to": "2026-11-01T00:01:00Z",
        "rows": [
            {"namespace": "a", "namespaceUID": "", "className": "", "size": "", "hosts": 1, "allocatedSeconds": 60, "poweredOnSeconds": 30}
        ],
        "total": {"hosts": 1, "allocatedSeconds": 60, "poweredOnSeconds": 30},
        "estimated": False,
    }


HOSTILE = ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n=1", "＝1", '",=1,"', "a\nb,c", "\x1b[31m", "\u202ex"]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_no_cell_is_a_formula_or_breaks_a_line(name: str) -> None:
    text = as_csv(of(name))
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    head, row = csv.reader(StringIO(text))
    assert head == ["from", "to", "namespace", "namespaceUID", "className", "size", "hosts", "allocatedSeconds", "poweredOnSeconds"]
    assert len(row) == len(head)
    assert not row[2].strip().startswith(("=", "+", "-", "@", "＝"))
    assert row[0] == datetime.fromtimestamp(START, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
