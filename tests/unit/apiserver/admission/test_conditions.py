"""Check matchConditions in CEL."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.conditions import ConditionError, fulfilled

VARIABLES: dict[str, Any] = {
    "object": {"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"n": 3, "list": list(range(100))}},
    "oldObject": None,
    "request": {"operation": "CREATE", "userInfo": {"username": "alice", "groups": ["devs"]}},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("true", True),
        ("object.metadata.name == 'a'", True),
        ("object.spec.n > 3", False),
        ("has(object.spec.none)", False),
        ("oldObject == null", True),
        ("!('system:nodes' in request.userInfo.groups)", True),
        ("request.operation != 'DELETE' && object.metadata.labels.exists(k, k == 'x')", True),
        ("object.metadata.name.upperAscii() == 'A'", True),
        ("object.?spec.?none.orValue(1) == 1", True),
    ],
)
def test_expressions(expression: str, value: bool) -> None:
    assert fulfilled([("c", expression)], VARIABLES) is value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("object.spec.none == 1", "not found"),
        ("object.metadata.name", "no boolean"),
        ("object.", "Syntax error"),
        ("authorizer.path('/').check('get').allowed()", "undeclared reference to 'authorizer'"),
        ("object.spec.list.all(a, object.spec.list.all(b, object.spec.list.all(c, a+b+c >= 0)))", "budget"),
    ],
)
def test_what_has_no_value_is_an_error(expression: str, said: str) -> None:
    for _ in range(2):  # the second time out of the cache of compiled expressions
        with pytest.raises(ConditionError, match=f'matchCondition "c": .*{said}'):
            fulfilled([("c", expression)], VARIABLES)


def test_one_that_is_false_decides_whatever_the_others_are() -> None:
    assert not fulfilled([("bad", "object.spec.none == 1"), ("no", "false")], VARIABLES)
    with pytest.raises(ConditionError):
        fulfilled([("yes", "true"), ("bad", "object.spec.none == 1")], VARIABLES)
    assert fulfilled([], VARIABLES)
