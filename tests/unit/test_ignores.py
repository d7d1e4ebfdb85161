"""Check that each exception from a rule of mypy or ruff states its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXCEPTION = re.compile(r"# (type: ignore|noqa)\b|raise NotImplementedError|\b(TODO|FIXME|XXX)\b")
WITH_REASON = re.compile(r"# (type: ignore\[[a-z, -]+\]|noqa: [A-Z0-9, ]+?) *(#|--?|\() *\w|raise NotImplementedError  # \w")


def unexplained(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if EXCEPTION.search(line) and not WITH_REASON.search(line)]


@pytest.mark.parametrize("folder", ["apiserver", "storage", "controllers", "hack", "tests", ".ci"])
def test_each_exception_has_its_reason(folder: str) -> None:
    files = sorted(file for file in (ROOT / folder).rglob("*.py") if file != Path(__file__))
    assert files
    assert [(str(file), line) for file in files for line in unexplained(file.read_text())] == []


@pytest.mark.parametrize(
    ("line", "explained"),
    [
        ("x = y  # type: ignore[misc]", False),
        ("x = y  # type: ignore", False),
        ("x = y  # type: ignore[arg-type, misc] # the library has no types", True),
        ("x = y  # noqa: B023", False),
        ("x = y  # noqa: B023 - called at once", True),
        ("x = y  # noqa: TC003 (pydantic resolves it)", True),
        ("raise NotImplementedError", False),
        ("raise NotImplementedError  # each subclass has its own", True),
        ("pass  # TODO: finish", False),
    ],
)
def test_reasons_of_ignored_rules(line: str, explained: bool) -> None:
    assert (unexplained(line) == []) == explained
