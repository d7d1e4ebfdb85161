"""Provide the number of attempts, and the table of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
FIGURES: pytest.StashKey[list[tuple[str, str, object]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=50, help="how often the server is killed; other trials are in proportion (default: 50)")
    parser.addoption("--seed", type=int, default=1, help="of the moments at which faults happen (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[FIGURES]
    if rows:
        terminalreporter.section("never losing a write")
        widths = [max(len(str(row[column])) for row in rows) for column in range(3)]
        for what, figure, value in rows:
            terminalreporter.write_line(f"{what:<{widths[0]}}  {figure:<{widths[1]}}  {value!s:>{widths[2]}}")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """Return the number of costly faults."""
    number: int = request.config.getoption("--kills")
    assert number >= 1, "--kills is 1 or more"
    return number


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return the seed for random.Random."""
    number: int = request.config.getoption("--seed")
    return number


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str, object], None]:
    """Return a function that adds a row to the table: the fault, the counted events, and their
    number."""
    rows = request.config.stash[FIGURES]
    return lambda what, name, value: rows.append((what, name, value))
