"""Test dev mode as a user runs it: the command as a process, and the real kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kubectl import find_kubectl
from tests.e2e.process import Dev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
FAST = ("--bmo-speed", "0.05")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow more time than for unit tests, because a process and many kubectls need it.

    The waits within have deadlines of their own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return the path of the real kubectl."""
    found = find_kubectl()
    if found is None:
        pytest.fail("there is no kubectl: run hack/tools/build, set KUBEBUILDER_ASSETS to a folder that has it, or put one on PATH")
    return found


@pytest.fixture(scope="module")
def make_dev(tmp_path_factory: pytest.TempPathFactory, kubectl: Path) -> Iterator[Callable[..., Dev]]:
    """Yield a function that creates dev folders. Their processes end with the module."""
    made: list[Dev] = []

    def make(*arguments: str) -> Dev:
        made.append(Dev(tmp_path_factory.mktemp("e2e") / "dev", kubectl, *FAST, *arguments))
        return made[-1]

    yield make
    for dev in made:
        dev.close()
