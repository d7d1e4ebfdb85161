"""Run the fuzzing corpus without a fuzzer: every interesting input is read, or refused, in time.
Check also that targets find planted faults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hostile.targets import TARGETS, Slow, run, writes

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parent / "corpus"
CASES = [(target, path) for target in TARGETS for path in sorted((CORPUS / target).iterdir())]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """Release what the target `write` creates on its first run."""
    yield
    writes().close()
    writes.cache_clear()


@pytest.mark.parametrize(("target", "path"), CASES, ids=[f"{target}-{path.name}" for target, path in CASES])
def test_the_corpus(target: str, path: Path) -> None:
    run(TARGETS[target], path.read_bytes())


def quadratic(data: bytes) -> None:
    assert [one for one in data if data.count(one) <= len(data)]


def careless(data: bytes) -> None:
    assert {b"known": 1}[data]


def test_a_slow_target_is_found() -> None:
    with pytest.raises(Slow, match="ms are the most"):
        run(quadratic, bytes(range(256)) * 120)


def test_an_escaped_exception_is_found() -> None:
    with pytest.raises(KeyError):
        run(careless, b"x")
