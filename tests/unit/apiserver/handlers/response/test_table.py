"""Check cells and ages, as kube-apiserver prints custom resources."""

from __future__ import annotations

import math
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.base import Model
from apiserver.handlers.response.age import FOREVER, aging, human_duration
from apiserver.handlers.response.rows import Row, RowCache, row_of
from apiserver.handlers.response.table import definitions, rows
from apiserver.registry.generic.entry import Entry, decoder, encode_stored
from apiserver.registry.generic.resource import Column, Resource


def resource(*columns: Column) -> Resource:
    return Resource(group="example.com", version="v1", kind="T", plural="ts", model=Model, columns=columns)


def entry(kind: Resource, **body: Any) -> Entry:
    obj = {"metadata": {"name": "a", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"}, **body}
    return decoder(kind)(kind.key("ns", "a"), encode_stored(kind, obj), 7)


@pytest.mark.parametrize(
    ("column_type", "value", "cell"),
    [
        ("string", "x", "x"),
        ("string", 3, "3"),
        ("string", True, "true"),
        ("string", {"a": [1]}, '{"a":[1]}'),
        ("integer", 3, 3),
        ("integer", 3.9, 3),
        ("integer", "3", None),
        ("integer", True, None),
        ("number", 1.5, 1.5),
        ("boolean", False, False),
        ("boolean", "false", None),
        ("date", "not a time", "<invalid>"),
        ("date", "", "<unknown>"),
        ("date", 5, None),
        ("string", None, None),
    ],
)
def test_cells(column_type: Any, value: Any, cell: Any) -> None:
    kind = resource(Column("C", "spec.c", column_type))
    (row,) = rows({}, kind, "v1", [entry(kind, spec={"c": value})])
    assert orjson.loads(row)["cells"] == ["a", cell]


def test_conditions_are_found_by_type() -> None:
    kind = resource(Column("Ready", "status.conditions.(Ready).status"))
    (row,) = rows({}, kind, "v1", [entry(kind, status={"conditions": [{"type": "X", "status": "1"}, {"type": "Ready", "status": "True"}]})])
    assert orjson.loads(row)["cells"] == ["a", "True"]


def test_rows_are_kept_but_ages_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = resource()
    assert [column["name"] for column in definitions(kind)] == ["Name", "Age"]
    item = entry(kind)
    born = 1767225600.0
    for seconds, shown in ((5, "5s"), (3600 * 30, "30h")):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: born + seconds)
        (row,) = rows({"includeObject": "None"}, kind, "v1", [item])
        assert orjson.loads(row) == {"cells": ["a", shown], "object": None}


def test_whole_rows_are_kept_until_an_age_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = resource(Column("Born", "metadata.creationTimestamp", "date"), Column("Seen", "status.seen", "date"))
    item = entry(kind, status={"seen": "2026-01-01T00:00:00.5Z"})
    born, made = 1767225600.0, []
    for seconds in (3600, 3659.9, 3660, 3660.4, 3660.5):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: born + seconds)
        made += rows({}, kind, "v1", [item])
    assert [orjson.loads(row)["cells"][1:] for row in made] == [["60m", "59m"], ["60m", "60m"], *[["61m", "60m"]] * 2, ["61m", "61m"]]
    assert made[2] is made[3]


def test_the_memory_of_whole_rows_is_bounded() -> None:
    kept, made = RowCache(limit=100), [Row(b"", 0, 0) for _ in range(50)]
    for row in made:
        kept.add(row, b"x" * 10, FOREVER)
        assert row.whole is not None
    present = [row for row in made if row.whole is not None]
    assert 10 <= len(present) <= 22
    assert present == made[-len(present) :]


@given(st.text())
def test_any_text_is_a_cell(text: str) -> None:
    kind = resource(Column("C", "spec.c"), Column("D", "spec.c", "date"))
    (row,) = rows({}, kind, "v1", [entry(kind, spec={"c": text})])
    cells = orjson.loads(row)["cells"]
    assert cells[1] == text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (599, "9m59s"), (600, "10m"), (10799, "179m"),
        (10800, "3h"), (12600, "3h30m"), (28800, "8h"), (172799, "47h"), (172800, "2d"), (180000, "2d2h"), (691200, "8d"),
        (63071999, "729d"), (63072000, "2y"), (63072000 + 86400 * 3, "2y3d"), (86400 * 365 * 8, "8y"),
    ],
)  # fmt: skip
def test_durations_are_those_of_kubectl(seconds: int, shown: str) -> None:
    assert human_duration(seconds) == shown


@given(st.floats(-20, 12 * 365 * 86400), st.floats(0, 1), st.sampled_from(["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.25Z"]))
def test_an_age_is_constant_until_its_announced_change(now: float, part: float, born: str) -> None:
    text, until = aging(born, now)
    assert until > now
    assert aging(born, min(now + (until - now) * part, math.nextafter(until, 0)))[0] == text
    if now >= 0.25:
        assert aging(born, until + 0.001)[0] != text


@pytest.mark.parametrize(("stamp", "text"), [("", "<unknown>"), ("soon", "<invalid>")])
def test_the_age_of_an_invalid_time_never_changes(stamp: str, text: str) -> None:
    assert aging(stamp, 1.0) == (text, FOREVER)


def test_times_with_offsets_and_fractions() -> None:
    assert aging("1970-01-01T01:00:00+01:00", 30)[0] == "30s"
    assert aging("1970-01-01T00:00:00.000001Z", 30)[0] == "29s"
    assert aging("1970-01-01T00:00:00", 30)[0] == "30s"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3))
def test_metadata_is_cut_out_of_the_bytes(annotations: dict[str, str]) -> None:
    kind = resource(Column("C", "spec.c"))
    meta = {"name": "a", "namespace": "ns", "annotations": annotations}
    item = decoder(kind)(kind.key("ns", "a"), encode_stored(kind, {"metadata": meta, "spec": {"metadata": {"c": 1}}}), 7)
    assert orjson.loads(row_of(kind, item).metadata(item)) == {"resourceVersion": "7", **meta}
