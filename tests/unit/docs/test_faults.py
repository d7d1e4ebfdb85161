"""Check that the tests which docs/faults.md names exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = (TESTS.parent / "docs" / "faults.md").read_text()


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    files = [*TESTS.rglob("test_*.py"), TESTS.parent / "controllers" / "providers" / "testing.py"]
    there = {name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())}
    assert len(named) > 20
    assert named - there == set()
    assert set(re.findall(r"(test_\w+\.py)", PAGE)) <= {file.name for file in files}
