"""Cover bodies: JSON and YAML, and everything that readers could interpret differently."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.handlers.request import body as body_module
from apiserver.handlers.request.body import CHEAP, DEPTH, KEY, LIMIT, PATH, SLICE, YAML_LIMIT, decode
from apiserver.handlers.request.negotiation import Form
from apiserver.handlers.request.yamlloader import parse
from apiserver.handlers.response.respond import encode
from apiserver.registry.generic.counting import VALUES as MOST
from tests.unit.cost import assert_cheaper

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
@example({"\0<<": None})
def test_yaml_comes_back(value: Any) -> None:
    assert decode(encode(Form(YAML), value), YAML).value == value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": "\xff" NaN}', b'"\\ud800', b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), b"{} {}"]
)
def test_bad_json_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode(body, JSON)
    assert refused.value.code == 400


def test_bodies_are_limited_by_depth_not_by_size() -> None:
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
    if body == b"a: 08_":  # YAML reads this as text, not as a number
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


APPLIED = "application/apply-patch+yaml"
TEXTS = st.text(alphabet='a":\\{}[], \n<é', max_size=6)
NESTED = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(TEXTS, inner), max_size=4).map(tuple),
    max_leaves=8,
)
"""Objects as tuples of members, so that keys may be doubled."""


def text_of(value: Any, space: str) -> str:
    if isinstance(value, tuple):
        return "{" + f"{space},{space}".join(f"{text_of(key, space)}{space}:{text_of(item, space)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(text_of(item, space) for item in value) + "]"
    return json.dumps(value)


def doubled(value: Any) -> bool:
    """Return whether a key is doubled in what is left of the value: of a key's values the last one
    counts."""
    if isinstance(value, tuple):
        return len(dict(value)) < len(value) or any(map(doubled, dict(value).values()))
    return isinstance(value, list) and any(map(doubled, value))


@given(NESTED, st.sampled_from(["", " ", "\n\t"]))
def test_doubled_keys_are_found_wherever_they_are(value: Any, space: str) -> None:
    body = text_of(value, space).encode()
    decoded = decode(body, JSON)
    assert decoded.value == json.loads(body)
    assert bool(decoded.duplicates) == doubled(value)


@given(VALUES)
def test_json_in_yaml_is_what_it_is_as_json(value: Any) -> None:
    body = orjson.dumps({"a": value})
    assert decode(body, APPLIED) == decode(body, JSON)


@pytest.mark.parametrize("number", ["2.0", "-2.0", "2e0", "2E+1", "20.00e-1", "0.5", "-0.0", "1.5e1", "15e-1"])
@pytest.mark.parametrize("around", ["{}", '{{"a":{}}}', "[{}]", "[1,{}]", "[1, {} ]", '{{"a":\n{}}}'])
def test_whole_numbers_are_integers_however_they_are_written(number: str, around: str) -> None:
    value = float(number)
    body = around.format(number).encode()
    expected = json.loads(around.format(int(value) if value.is_integer() else value))
    assert repr(decode(body, JSON).value) == repr(expected)


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30])
def test_a_large_integer_is_the_same_in_each_form(number: int) -> None:
    found = {media: decode(b'{"a": %d}' % number, media).value["a"] for media in (JSON, YAML, APPLIED)}
    found["plain"] = decode(b"a: %d" % number, YAML).value["a"]
    assert len({repr(value) for value in found.values()}) == 1
    assert orjson.loads(orjson.dumps(found["plain"])) == found["plain"] == pytest.approx(number)


def test_an_integer_that_no_float_can_hold_is_refused() -> None:
    for body, media in ((b'{"a": 1%s}' % (b"0" * 400), JSON), (b"a: 1%s" % (b"0" * 400), YAML)):
        with pytest.raises(ApiError) as refused:
            decode(body, media)
        assert refused.value.code == 400


def test_what_only_begins_like_json_is_yaml() -> None:
    assert decode(b"{a: 1, b: [x]}", APPLIED).value == {"a": 1, "b": ["x"]}
    assert decode(b'{"a": 1, "a": 2}', APPLIED).duplicates == ('line 1: key "a" already set in map',)


def test_doubled_keys_are_found_where_they_are() -> None:
    body = b'{"a": 1, "a": 2, "b": [{"c": 1, "c": 1, "c": 2}], "d": {"a": 1}}'
    decoded = decode(body, JSON)
    assert decoded.value["a"] == 2
    assert decoded.duplicates == ('duplicate field "a"', 'duplicate field "b[0].c"')
    assert decode(body, JSON, find_duplicates=False).duplicates == ()
    assert decode(b"a: 1\nb: {c: 1, c: 2}\n", YAML).duplicates == ('line 2: key "c" already set in map',)


def test_many_doubled_keys_cost_less_than_comparing_few_keys_with_each_other() -> None:
    keys = [f"k{number % 5599:05}" for number in range(5600)]
    body = b"{" + b",".join(b'"%s":1' % key.encode() for key in keys) + b"}"
    assert_cheaper(lambda: decode(body, JSON), lambda: [key for key in keys[:2500] if keys[:2500].count(key) > 1])


def refusal(body: bytes, media: str = JSON) -> tuple[int, str]:
    with pytest.raises(ApiError) as refused:
        decode(body, media)
    return refused.value.code, refused.value.message


@pytest.mark.parametrize("media", [JSON, YAML, APPLIED])
def test_values_are_counted_not_commas(media: str) -> None:
    """Check that values are counted, of which the body itself is one, and not commas."""
    most = json.dumps(['a,[{\\",' * 10] * (MOST - 1)).encode()
    assert len(decode(most, media).value) == MOST - 1
    code, message = refusal(most[:-1] + b',""]', media)
    assert (code, f"more than {MOST} values" in message) == (413, True)


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join(b'"%d":{}' % number for number in range(MOST + 1)) + b"}",
        b"[" + b"{}," * (LIMIT // 3 - 1) + b"1]",
        b"[" + b"1," * (LIMIT // 2 - 1) + b"1]",
        b"[" + b'"",' * (LIMIT // 3 - 1) + b"1]",
    ],
)
def test_what_has_too_many_values_is_refused_before_it_is_parsed(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = list[int]()
    monkeypatch.setattr(orjson, "loads", lambda body: parsed.append(body.count(b"{")))
    assert refusal(body)[0] == refusal(body, APPLIED)[0] == 413
    assert all(brackets <= CHEAP for brackets in parsed)


def test_deep_nesting_is_what_is_wrong_with_a_body_that_is_nothing_else() -> None:
    assert refusal(b"[" * 20_000 + b"]" * 20_000)[0] == 400
    assert refusal(b"{" * 40_000)[0] == 400


@pytest.mark.parametrize("media", [JSON, YAML])
def test_long_keys_are_refused(media: str) -> None:
    assert decode(b'{"%s": 1}' % (b"k" * KEY), media).value == {"k" * KEY: 1}
    assert refusal(b'{"%s": 1}' % (b"k" * (KEY + 1)), media)[0] == 400
    levels = PATH // 1000 + 1
    nested = b'{"%s":' % (b"k" * 1000) * levels + b"1" + b"}" * levels
    assert refusal(nested, media)[0] == 400


def test_yaml_has_a_limit_of_its_own() -> None:
    text = b"a: " + b"x" * YAML_LIMIT
    assert refusal(text, YAML)[0] == 413
    assert decode(b'{"a": "%s"}' % text, APPLIED).value == {"a": text.decode()}, "JSON is not read as YAML"


@pytest.mark.parametrize("number", [b"1:1" + b":1" * 100_000, b"1" * 100_000, b"0x" + b"f" * 100_000, b"1e" + b"1" * 5000])
@pytest.mark.parametrize("tag", [b"", b"!!int ", b"!!float "])
def test_long_numbers_are_text_or_refused(number: bytes, tag: bytes) -> None:
    with suppress(ApiError):
        assert decode(b"a: " + tag + number, YAML).value == {"a": number.decode()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"a: 1\n<<: {a: 2, b: 3}", {"a": 1, "b": 3}),
        (b"<<: [{a: 1}, {a: 2, b: 3}]\nc: 4", {"a": 1, "b": 3, "c": 4}),
        (b'"<<": 1\n"=": 2\n=: 3', {"<<": 1, "=": 3}),
        (b"!!str 1: !!str 2\n! x: ! z\ne:\n", {"1": "2", "x": "z", "e": None}),
        (b"", None),
        (b"# nothing", None),
        (b"[[], {}, '', ~]", [[], {}, "", None]),
    ],
)
def test_yaml_that_has_a_meaning_in_json(text: bytes, value: Any) -> None:
    assert decode(text, YAML).value == value


@pytest.mark.parametrize(
    "text", [b"<<: 1", b"<<: [1]", b"!!seq {}", b"!!map []", b"!a b", b"!!bool x", b"a: =", b"a: <<", b"~: 1", b"!!int x"]
)
def test_yaml_without_a_meaning_in_json_is_refused(text: bytes) -> None:
    assert refusal(text, YAML)[0] == 400


def test_yaml_is_read_in_short_steps() -> None:
    steps = parse("[" + "1," * 3000 + "1]", DEPTH, MOST)
    assert sum(1 for _ in steps) > 3000 // 50


def test_doubled_keys_are_named_up_to_a_number() -> None:
    many = b"{" + b",".join(b'"k%d":1' % (number % 500) for number in range(1000)) + b"}"
    for media in (JSON, YAML):
        found = decode(many, media).duplicates
        assert (len(found), found[-1]) == (51, "and 450 more")
    long = b'{"a": 1, "a": [%s, %s.5, 1e400000], "a": %s}' % ((b"9" * 300,) * 3)
    assert decode(long.replace(b", 1e400000", b""), JSON).duplicates == ('duplicate field "a"',)
    assert len(decode(b'{"a": "%s", "a": 1}' % (rb"\n" * 200_000), JSON).duplicates) == 1


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"x\xffy"', "x\ufffdy"),
        (b'"\xe2\x82"', "\ufffd\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'"\\ud800"', "\ufffd"),
        (b'"\\udc00\\ud800"', "\ufffd\ufffd"),
        (b'"\\ud800\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"\\ud800 \\\\ud800 \\\\\\ud800"', "\ufffd \\ud800 \\\ufffd"),
        (b'{"\\udfff": 1}', {"\ufffd": 1}),
    ],
)
def test_what_is_no_unicode_is_replaced_as_go_does_it(body: bytes, value: object) -> None:
    assert decode(body, "application/json").value == value


def test_doubled_keys_are_found_in_what_was_replaced() -> None:
    assert decode(b'{"a\\ud800": 1, "a\\udc00": 2}', "application/json").duplicates == ('duplicate field "a\ufffd"',)


def test_replacing_is_bounded() -> None:
    with pytest.raises(ApiError) as refused:
        decode(b'["' + b"\\n" * 20_000 + b'\\ud800"]', "application/json")
    assert refused.value.code == 400


def test_what_is_replaced_is_bounded_like_what_was_sent() -> None:
    fits = b'["%s"]' % (b"\xff" * (LIMIT // 3 - 4))
    assert decode(fits, JSON).value == ["\ufffd" * (LIMIT // 3 - 4)]
    with pytest.raises(ApiError) as refused:
        decode(fits.replace(b"\xff", b"\xff\xff\xff"), JSON)
    assert refused.value.code == 413


@pytest.mark.parametrize("text", ["\u00e9", "\u20ac", "\U0001f600"])
def test_no_character_is_divided_where_a_step_ends(text: str) -> None:
    for before in range(SLICE - 8, SLICE + 2):
        for broken in (b"\xff", b"\x80\x80\x80\x80\x80", b"\xf0\x9f"):
            body = b'["%s%s%s%s"]' % (b"a" * before, text.encode(), broken, text.encode())
            assert decode(body, JSON).value == ["a" * before + text + "\ufffd" * len(broken) + text]


def test_escapes_are_replaced_in_small_steps() -> None:
    body = b'["%s"]' % (b"\\ud800" * 16_000)

    def share() -> float:
        steps, costs = body_module._steps(body, JSON, find_duplicates=True), [0.0]
        with suppress(StopIteration):
            while True:
                began = time.thread_time()
                next(steps)
                costs.append(time.thread_time() - began)
        return max(costs) / sum(costs)

    assert any(share() < 1 / 2 for _ in range(20)), "a busy machine may make one step longer"
