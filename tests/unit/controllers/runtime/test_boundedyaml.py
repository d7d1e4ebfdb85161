"""Check that texts of tenants are read at a bounded cost, and otherwise mean what YAML means."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controllers.runtime.boundedyaml import DEPTH, NUMBER, SIZE, VALUES, load
from tests.unit.cost import assert_cheaper

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)

BOMB = "l0: &l0 [a, a, a]\n" + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))

HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "deep JSON": ('{"a": ' + "[" * 300 + "]" * 300 + "}", "nested"),
    "JSON one level too deep": ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "nested"),
    "an alias bomb": (BOMB, "alias"),
    "deep": ("a: " + "[" * (DEPTH + 1) + "]" * (DEPTH + 1) + " # no JSON", "nested"),
    "very deep": ("a: " + "[" * 60_000, "nested"),
    "wide": ("a: [" + "1, " * (VALUES + 1) + "] # no JSON", "values"),
    "large": ("a: " + "b" * SIZE, "bytes"),
    "a long number": ("a: " + "9" * 5000, "number"),
    "a long tagged sexagesimal number": ("a: !!int 1" + ":01" * 20_000, "number"),
    "a number a little too long": ("a: " + "9" * (NUMBER + 1), "number"),
    "a long tagged number in another script": ("a: !!int '" + "\u0663:" * 20_000 + "1'", "number"),
    "a long tagged text": ("a: !!float '" + "nan:" * 10_000 + "1'", "number"),
    "a long tagged number": ("a: !!int '" + "9" * 5000 + "'", "number"),
    "an integer that JSON has not": ("a: 99999999999999999999999999", "JSON"),
    "a key that is no text": ("? [1, 2]\n: x", "JSON"),
    "an integer key": ("1: x", "JSON"),
    "a merge of no mapping": ("<<: 5", "JSON"),
    "bytes": ("a: !!binary aGVsbG8=", "JSON"),
    "a set": ("a: !!set {b, c}", "JSON"),
    "a surrogate": ('a: "\\uD800"\nb: c', "JSON"),
    "a Python object": ("a: !!python/object/apply:os.system [ls]", "JSON"),
    "two documents": ("a: b\n---\nc: d", "JSON"),
    "no UTF-8": (b"a: \xff\xfe", "JSON"),
    "a tag with a wrong value": ("a: !!bool maybe", "JSON"),
    "an empty tagged number": ("a: !!int ''", "JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_refused_in_words(name: str) -> None:
    text, word = HOSTILE[name]
    with pytest.raises(ValueError, match=word):
        load(text.encode() if isinstance(text, str) else text)


@given(PLAIN)
def test_yaml_and_json_are_read_alike(value: Any) -> None:
    assert load(yaml.safe_dump(value).encode()) == value
    assert load(orjson.dumps(value)) == value


def test_a_date_stays_text() -> None:
    assert load(b"since: 2026-01-02") == {"since": "2026-01-02"}


def test_a_text_with_colons_is_no_number() -> None:
    assert load(b"mac: 52:54:00:12:34:56\nat: 12:30:45.5") == {"mac": "52:54:00:12:34:56", "at": "12:30:45.5"}


@pytest.mark.parametrize("text", ["'" + "9" * 100 + "'", "9" * 100 + "f", "1" + ":01" * 1000])
def test_a_long_text_may_begin_like_a_number(text: str) -> None:
    assert load(f"a: {text} # no JSON".encode()) == {"a": text.strip("'")}


@pytest.mark.parametrize(
    "tag", ["int", "float", "timestamp", "bool", "null", "binary", "set", "omap", "pairs", "map", "seq", "merge", "value", "x"]
)
@pytest.mark.parametrize(
    "text",
    [
        "canary",
        "{canary: canary}",
        "[canary]",
        "'canary",
        "2026-13-canary",
        "1:canary",
        "0xcanary",
        "0bcanary",
        ".canary",
        "canary\u00e9",
        "*canary",
    ],
)
@pytest.mark.parametrize("form", ["a: !!%s %s # no JSON", "!!%s %s: a", "[!!%s %s"])
def test_an_error_quotes_nothing(tag: str, text: str, form: str) -> None:
    said = "it is read"
    try:
        load((form % (tag, text)).encode())
    except ValueError as error:
        said = str(error)
    assert said.startswith("it ")
    assert "canary" not in said


def test_nothing_is_read_from_an_empty_text() -> None:
    assert load(b"") is None


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(text: bytes) -> None:
    try:
        orjson.dumps(load(text))
    except ValueError:
        return


def test_mappings_are_merged() -> None:
    assert load(b"a: {<<: [{b: 1, c: 2}, {b: 3}], c: 4}") == {"a": {"b": 1, "c": 4}}


def _refused(text: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        load(text)


def test_keys_that_collide_cost_what_others_cost() -> None:
    """Use keys that are multiples of 2**61 - 1, and thus have the same hash."""

    def keys(step: int) -> bytes:
        return b"\n".join(b"%d: 1" % (number * step) for number in range(VALUES // 2 - 1))

    others, colliding = keys(2**61), keys(2**61 - 1)
    assert_cheaper(lambda: _refused(colliding, "JSON"), lambda: _refused(others, "JSON"), 1.5)


def test_the_rest_of_a_text_with_too_many_values_is_not_read() -> None:
    def wide(items: int) -> bytes:
        return b"a: [" + b"1, " * items + b"]"

    small, large = wide(VALUES), wide(VALUES * 4)
    assert_cheaper(lambda: _refused(large, "values"), lambda: _refused(small, "values"), 3)
