"""Check quantities as Kubernetes writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.quantity import human, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [("64Gi", 64 * 2**30), ("1.5k", 1500), (16, 16), ("1e3", 1000), ("500m", 0.5), ("2E", 2e18), ("1Ei", 2**60), ("12E2", 1200)],
)
def test_quantities(text: str | int, number: float) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "x", "1Zi", "-1", "Gi", "1.", "1 Gi"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


@given(st.integers(2**20, 2**50))
def test_sizes_are_exact_or_rounded_down(size: int) -> None:
    said = parse_quantity(human(size))
    assert size - 2**20 < said <= size
