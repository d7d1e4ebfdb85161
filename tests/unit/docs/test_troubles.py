"""The tests that docs/troubles.md names are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = (TESTS.parent / "docs" / "troubles.md").read_text()


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    files = {path.name: path.read_text() for path in TESTS.rglob("test_*.py")}
    sources = [*files.values(), (TESTS.parent / "controllers" / "providers" / "testing.py").read_text()]
    there = {name for text in sources for name in re.findall(r"def (test_\w+)\(", text)}
    assert len(named) > 20
    assert named - there == set()
    assert set(re.findall(r"(test_\w+\.py)", PAGE)) <= files.keys()
