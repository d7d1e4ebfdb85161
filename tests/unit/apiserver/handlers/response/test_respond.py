"""Cover representations that are bounded in what they cost."""

from __future__ import annotations

import orjson
import pytest
import yaml

from apiserver.handlers.request.negotiation import YAML, Form
from apiserver.handlers.response.respond import WARNINGS, _warnings, encode


@pytest.mark.parametrize("count", [10, 5000])
def test_what_is_long_is_yaml_that_is_json_as_well(count: int) -> None:
    value = {"a": [{"b": str(number), "c: ~": None} for number in range(count)], "d": "on\n"}
    text = encode(Form(YAML), value)
    assert yaml.load(text, yaml.CSafeLoader) == value
    assert text.startswith(b"{") is (count == 5000)
    if count == 5000:
        assert orjson.loads(text) == value


def test_warnings_are_cut_where_they_are_long() -> None:
    assert list(_warnings(["a", "b", "a", "x" * 1000])) == ['299 - "a"', '299 - "b"', f'299 - "{"x" * 1000}"']
    many = list(_warnings(f"{number}{'x' * 3_000_000}" for number in range(50)))
    assert (len(many), len({len(text) for text in many})) == (WARNINGS // 256, 1)
