"""Run the short form of the benchmarks: compared with kube-apiserver, nothing may become several
times slower than it is now (docs/benchmarks.md).

The floors leave room for a busy machine and for fewer objects: about a third of what is measured.
They are no goals.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.bench import clusters
from tests.bench.measure import measure
from tests.bench.report import BEGIN, END, Figure, put_into, table
from tests.integration.running import start, stop

if TYPE_CHECKING:
    from pathlib import Path

FLOORS = {
    "GET": 2,
    "LIST, plain": 8,
    "LIST, gzip": 20,
    "LIST, Table": 10,
    "LIST, Table, gzip": 20,
    "LIST, 1 % by label": 2,
    "LIST, one namespace of 50": 2,
    "PATCH, merge": 1.2,
    "PATCH, apply": 1.2,
    "POST": 1,
    "WATCH, 50 events a second": 0.7,
}
"""kube-apiserver's CPU per request divided by ours, asked directly."""


@pytest.mark.real
@pytest.mark.timeout(300)
def test_no_work_has_become_several_times_slower(tmp_path: Path) -> None:
    running = start(tmp_path / "cluster", *clusters.OPTIONS)
    try:
        figures = asyncio.run(measure(running, tmp_path, objects=400, watchers=300, seconds=2, rates=(50,)))
    finally:
        stop(running.root)
    print("\n".join(table(figures)))
    assert {one.name for one in figures} == set(FLOORS)
    slow = {one.name: one.ratios[0].value for one in figures if one.ratios[0].value < FLOORS[one.name]}
    assert not slow, slow


def test_notes_stand_below_the_table() -> None:
    assert table([Figure("GET", 1, 1, 1, (1, 1), note="slow")])[-2:] == ["", "- GET: slow."]


def test_the_table_goes_between_its_marks() -> None:
    lines = table([Figure("GET", 2e-3, 1e-4, 5e-5, (10, 2))])
    assert lines[-1] == "| GET | 2.00 ms | 0.10 ms | 20 (≥ 10) | 50.0 µs | 40 (≥ 2) |"
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    written = put_into(document, lines)
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert lines[-1] in written
    assert put_into(written, lines) == written
    with pytest.raises(ValueError, match="add the lines"):
        put_into("nothing", lines)
