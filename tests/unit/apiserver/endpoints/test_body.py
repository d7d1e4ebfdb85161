"""Bodies: JSON and YAML, and everything that readers could disagree about."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.endpoints.body import DEPTH, decode
from apiserver.endpoints.negotiation import Form
from apiserver.endpoints.respond import encode

JSON, YAML = "application/json", "application/yaml"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_json_comes_back(value: Any) -> None:
    decoded = decode(orjson.dumps(value), JSON)
    assert decoded.value == value
    assert decoded.duplicates == ()


@given(VALUES)
def test_yaml_comes_back(value: Any) -> None:
    assert decode(encode(Form(YAML), value), YAML).value == value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": "\xed\xa0\x80"}', b'"\\ud800"', b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), b"{} {}"]
)
def test_bad_json_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode(body, JSON)
    assert refused.value.code == 400


def test_depth_is_what_counts_not_size() -> None:
    assert decode(b"[" + b",".join([b"{}"] * 1000) + b"]", JSON).value == [{}] * 1000


@pytest.mark.parametrize(
    "body",
    [
        b"a: [",
        b"\xff",
        b"a: &x 1\nb: *x",
        b"a: .inf",
        b"a: .nan",
        b"!!set {a, b}",
        b"!!binary aGk=",
        b"!!timestamp 2026-01-01",
        b"!!python/object:os.system {}",
        b"--- a\n--- b",
        b"? [a]\n: b",
        b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
        b"- " * 100_000,
        b"a: 08_",
    ],
)
def test_bad_yaml_is_refused(body: bytes) -> None:
    if body == b"a: 08_":  # no number: text
        assert decode(body, YAML).value == {"a": "08_"}
        return
    with pytest.raises(ApiError) as refused:
        decode(body, YAML)
    assert refused.value.code == 400


def test_yaml_means_what_it_means_to_kubernetes() -> None:
    text = (
        b"mac: 52:54:00:12:34:56\ntime: 2026-01-01T00:00:00Z\nday: 2026-01-01\non: yes\n1: one\nhex: 0x10\noct: 010\nfloat: 1e3\nnone: ~\n"
    )
    assert decode(text, YAML).value == {
        "mac": "52:54:00:12:34:56",
        "time": "2026-01-01T00:00:00Z",
        "day": "2026-01-01",
        "true": True,
        "1": "one",
        "hex": 16,
        "oct": 8,
        "float": 1000.0,
        "none": None,
    }


def test_doubled_keys_are_found_where_they_are() -> None:
    body = b'{"a": 1, "a": 2, "b": [{"c": 1, "c": 1, "c": 2}], "d": {"a": 1}}'
    decoded = decode(body, JSON)
    assert decoded.value["a"] == 2
    assert decoded.duplicates == ('duplicate field "a"', 'duplicate field "b[0].c"')
    assert decode(body, JSON, find_duplicates=False).duplicates == ()
    assert decode(b"a: 1\nb: {c: 1, c: 2}\n", YAML).duplicates == ('line 2: key "c" already set in map',)
