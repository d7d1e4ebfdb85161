"""Count the values in an object."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.registry.generic.counting import VALUES, TooMany, count, outside

JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text('a",:{}[]\\\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a",:{}[]\\', max_size=4), inner, max_size=3),
    max_leaves=12,
)


def number_of(value: Any) -> int:
    """Return the number of values: the value itself and all in it."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(number_of, parts))


def keys_of(value: Any) -> int:
    """Return how many members all objects have."""
    if isinstance(value, dict):
        return len(value) + sum(map(keys_of, value.values()))
    return sum(map(keys_of, value)) if isinstance(value, list) else 0


@given(JSON)
def test_all_values_of_a_document_are_counted(value: Any) -> None:
    body = orjson.dumps(value)
    assert count(body) == number_of(value)
    assert outside(body).count(b":") == keys_of(value)


def test_strings_alone_are_bounded() -> None:
    with pytest.raises(TooMany):
        count(orjson.dumps([""] * (5 * VALUES)))
