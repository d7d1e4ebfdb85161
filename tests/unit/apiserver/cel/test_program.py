"""Compare expressions with what cel-go with Kubernetes' libraries (1.36) answered, and bound them."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.cel.meter import PER_CALL, Cancelled, Meter
from apiserver.cel.program import Program, StructValue
from apiserver.cel.syntax import Syntax
from apiserver.cel.values import CelError, Optional

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
OBJECT, RESULTS = RECORDED["object"], RECORDED["results"]
HUGE: dict[str, Any] = {
    "list": ["a" * 1000] * 6000,
    "map": {f"key{index}": "value" for index in range(6000)},
    "text": "a" * 1_000_000,
    "numbers": list(range(6000)),
}


def run(expression: str, **variables: Any) -> Any:
    """Return the value of an expression."""
    return Program(expression, variables).run(variables, Meter(lambda units: None))


def shown(value: Any) -> Any:
    """Return a value as cel-go's conversion to JSON shows it."""
    if isinstance(value, Optional):
        return shown(value.value) if value.present else None
    if isinstance(value, list):
        return [shown(one) for one in value]
    if isinstance(value, dict):
        return {str(key): shown(one) for key, one in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(int(value))
    if isinstance(value, float) and math.isinf(value):
        return "Infinity"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@pytest.mark.parametrize("result", RESULTS, ids=[one["expression"] for one in RESULTS])
def test_values_and_errors_are_those_of_cel_go(result: dict[str, Any]) -> None:
    if result.get("invalid"):
        with pytest.raises(Syntax):
            Program(result["expression"], ["object", "oldObject"])
    elif "error" in result:
        with pytest.raises((CelError, Cancelled)) as caught:
            run(result["expression"], object=OBJECT, oldObject=None)
        assert str(caught.value) == result["error"]
    elif not result["value"] or "mailto" not in str(result["value"]):
        assert shown(run(result["expression"], object=OBJECT, oldObject=None)) == result["value"]


@pytest.mark.parametrize(
    "expression",
    [
        "object.list.all(x, object.list.all(y, x == y))",
        "object.list.map(x, x + x).size() > 0",
        "object.list.distinct().size() > 0",
        "object.list.exists(x, object.text.contains(x + 'b'))",
        "object.list.all(x, object.text.matches('(a+)+b') || true)",
        "object.text.findAll('a').size() > 0",
        "object.text.findAll('(a|aa)*b|a').size() > 0",
        "object.text.replace('a', object.text).size() > 0",
        "object.list.join(object.text).size() > 0",
        "object.numbers.sort().size() > 0",
        "object.numbers.sortBy(x, -x).size() > 0",
        "sets.contains(object.numbers, object.numbers)",
        "lists.range(9223372036854775807).size() > 0",
        "object.map.all(k, object.map.all(l, k != l || true))",
        "object.map.transformMap(k, v, object.list).map(k, object.list).map(l, l.map(x, x + x)).size() > 0",
    ],
)
def test_what_an_object_makes_expensive_is_ended(expression: str) -> None:
    meter = Meter(lambda units: None)
    with pytest.raises(Cancelled, match="actual cost limit exceeded"):
        Program(expression, ["object"]).run({"object": HUGE}, meter)
    assert meter.spent > PER_CALL


@pytest.mark.parametrize(
    "expression",
    [
        "object.list.all(x, x.size() == 1000)",
        "object.map.all(k, v, v == 'value')",
        "object == object",
        "object.numbers.isSorted() && object.numbers.max() == 5999",
        "object.text.matches('^a+$')",
    ],
)
def test_large_objects_are_no_reason_to_fail(expression: str) -> None:
    assert run(expression, object=HUGE) is True


@pytest.mark.parametrize(
    "expression",
    ["(" * 500 + "1" + ")" * 500, "[" * 500, "-" * 5001 + "object", "!" * 70_000 + "true", "1" + "+1" * 5000, "object" + ".a" * 5000],
    ids=["parentheses", "lists", "minus", "too long", "sum", "selection"],
)
def test_deep_and_long_expressions_are_refused_or_harmless(expression: str) -> None:
    try:
        program = Program(expression, ["object"])
    except Syntax:
        return
    with pytest.raises(CelError):
        program.run({"object": "x"}, Meter(lambda units: None))


def test_deep_values_are_an_error() -> None:
    deep: Any = []
    other: Any = []
    for _ in range(5000):
        deep, other = [deep], [other]
    with pytest.raises(CelError, match="nested too deeply"):
        run("object == other", object=deep, other=other)
    with pytest.raises(CelError, match="nested too deeply"):
        run("'%s'.format([object])", object=deep)


@given(st.text(max_size=40))
def test_no_text_breaks_the_compiler(text: str) -> None:
    try:
        program = Program(text, ["object"])
    except Syntax:
        return
    with contextlib.suppress(CelError, Cancelled):
        program.run({"object": OBJECT}, Meter(lambda units: None))


WORDS = ["object", ".spec", ".l", "[0]", "1", "'a'", "+", "-", "*", "/", "%", "==", "&&", "||", "!", "?", ":", "(", ")", "[", "]", "{", "}"]
WORDS += [
    ".all(x, ",
    ".map(x, ",
    ".size()",
    "x",
    ",",
    "null",
    "true",
    "2u",
    "1.5",
    " in ",
    "<",
    ".?",
    "has(",
    "quantity(",
    "ip(",
    ".n",
    ".s",
]


@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_no_order_of_words_breaks_the_evaluator(words: list[str]) -> None:
    with contextlib.suppress(CelError, Cancelled, Syntax):
        run("".join(words), object=OBJECT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_equality_is_symmetric_and_reflexive(left: Any, right: Any) -> None:
    assert run("object == object && !(object != object)", object=left) is True
    assert run("a == b", a=left, b=right) is run("b == a", a=left, b=right)
    assert run("a == b", a=left, b=json.loads(json.dumps(left))) is True


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_arithmetic_is_that_of_64_bits(left: int, right: int) -> None:
    for operator, value in (("+", left + right), ("-", left - right), ("*", left * right)):
        if -(2**63) <= value < 2**63:
            assert run(f"a {operator} b", a=left, b=right) == value
        else:
            with pytest.raises(CelError, match="integer overflow"):
                run(f"a {operator} b", a=left, b=right)


def test_true_is_not_one() -> None:
    assert run("object == 1", object=True) is False
    assert run("1 in object", object=[True]) is False
    assert run("{true: 'a'}.map(k, k)") == [True]
    with pytest.raises(CelError, match="no such key: 1"):
        run("{true: 'a'}[1]")


def test_values_are_not_changed() -> None:
    before = json.dumps(OBJECT)
    run("object.spec.l.sort() == object.spec.l.reverse() || object.spec.l + [1] == []", object=OBJECT)
    assert json.dumps(OBJECT) == before


def test_a_variable_without_a_value() -> None:
    with pytest.raises(CelError, match=r"no such attribute\(s\): authorizer"):
        Program("authorizer == null", ["authorizer"]).run({}, Meter(lambda units: None))


def test_objects_are_constructed_only_where_that_is_meant() -> None:
    expression = "Object{spec: Object.spec{n: object.spec.n, ?none: object.?none}}"
    with pytest.raises(Syntax, match="undeclared reference to 'Object'"):
        Program(expression, ["object"])
    found = Program(expression, ["object"], structs=True).run({"object": OBJECT}, Meter(lambda units: None))
    assert isinstance(found, StructValue)
    assert (found.name, found.fields["spec"].name, found.fields["spec"].fields) == ("Object", "Object.spec", {"n": 3})
