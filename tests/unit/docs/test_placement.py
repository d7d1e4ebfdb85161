"""Check that the documented figures of placement are those that the program prints, and what they
show."""

from __future__ import annotations

from pathlib import Path

from tests.bench.placement import FLEETS, compare, table

PAGE = Path(__file__).parents[3] / "docs/benchmarks.md"


def test_the_documented_table_is_what_the_program_prints() -> None:
    assert "\n".join(table()) in PAGE.read_text(), "run python -m tests.bench.placement"


def test_every_batch_that_fits_is_placed_and_no_other_way_places_more_or_wastes_less_cpu() -> None:
    for fleet in FLEETS.values():
        count, outcomes = compare(fleet)
        ours, one_by_one, at_random = outcomes.values()
        assert ours.placed == count > one_by_one.placed > at_random.placed
        assert at_random.waste > one_by_one.waste + 0.05
        assert at_random.waste > ours.waste + 0.05
