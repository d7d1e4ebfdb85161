"""Check functions whose answers depend on decisions, time or patterns."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.cel.library.authorizer import Authorizer, Decision, Question, Undecided
from apiserver.cel.meter import Cancelled, Meter
from apiserver.cel.program import Program
from apiserver.cel.values import CelError


def run(expression: str, **variables: Any) -> Any:
    """Return the value of an expression."""
    return Program(expression, variables).run(variables, Meter(lambda units: None))


SECRETS = "authorizer.group('').resource('secrets').namespace('n').name('x').check('get')"
ASKED = Question(("", ""), "get", resource="secrets", namespace="n", name="x")


def test_a_decision_that_is_not_known_is_asked_for() -> None:
    with pytest.raises(Undecided) as caught:
        run(f"{SECRETS}.allowed() || true", authorizer=Authorizer({}))
    assert caught.value.question == ASKED


def test_decisions() -> None:
    authorizer = Authorizer({ASKED: Decision(True, "because")})
    assert run(f"[{SECRETS}.allowed(), {SECRETS}.errored()]", authorizer=authorizer) == [True, False]
    assert run(f"[{SECRETS}.reason(), {SECRETS}.error()]", authorizer=authorizer) == ["because", ""]


def test_service_accounts_and_selectors_are_other_questions() -> None:
    expression = (
        "authorizer.serviceAccount('n', 's').group('g').resource('r').labelSelector('a=b').fieldSelector('c=d').check('list').allowed()"
    )
    with pytest.raises(Undecided) as caught:
        run(expression, authorizer=Authorizer({}))
    assert caught.value.question == Question(("n", "s"), "list", group="g", resource="r", field_selector="c=d", label_selector="a=b")
    with pytest.raises(CelError, match="Invalid service account name"):
        run("authorizer.serviceAccount('n', 'S').path('/x').check('get').allowed()", authorizer=Authorizer({}))


def test_decisions_are_dear() -> None:
    decided = Authorizer({ASKED: Decision(True)})
    with pytest.raises(Cancelled):
        run(f"[{SECRETS}, {SECRETS}, {SECRETS}].all(d, d.allowed())", authorizer=decided)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "([a-z]+)*[0-9]"])
def test_patterns_take_linear_time(pattern: str) -> None:
    run("object.matches(pattern) || true", object="a" * 100_000 + "!", pattern=pattern)


@pytest.mark.parametrize("pattern", ["a" * 5000, "(?=a)", "(", r"\1", "a{2000}"])
def test_patterns_that_are_too_long_or_not_regular_are_errors(pattern: str) -> None:
    for _ in range(2):  # the second time out of the cache
        with pytest.raises(CelError, match="error parsing regexp"):
            run("object.matches(pattern)", object="a", pattern=pattern)


@pytest.mark.parametrize("text", ["1" * 5000, "1e999", "0x1", "١", "1_000", "Infinityy", ""])
def test_numbers_in_hostile_texts_are_errors(text: str) -> None:
    for function in ("int", "uint", "quantity", "ip", "cidr", "semver", "timestamp", "duration"):
        with pytest.raises(CelError):
            run(f"{function}(object)", object=text)


@pytest.mark.parametrize("template", ["%.99999999999f", "%.101f", "%", "%.", "%q"])
def test_templates_with_hostile_clauses_are_errors(template: str) -> None:
    with pytest.raises(CelError):
        run("object.format([1.5])", object=template)


def test_labels_of_any_length_are_checked_at_once() -> None:
    assert run("format.dns1123Label().validate(object).value()", object="a-" * 500_000) == ["must be no more than 63 bytes"]


def spent(expression: str, **variables: object) -> int:
    """Return the cost of an expression."""
    meter = Meter(lambda units: None)
    Program(expression, tuple(variables)).run(variables, meter)
    return meter.spent


def test_a_pattern_is_charged_with_its_states() -> None:
    assert spent("t.matches('^a+$')", t="a" * 1000) < 300
    assert spent("t.matches('^a{1,900}$')", t="a" * 1000) > 5000
    with pytest.raises(Cancelled):
        spent("t.find('a{1,900}b')", t="a" * 200_000)
    for function in ("matches", "find", "findAll"):
        with pytest.raises(CelError, match="error parsing regexp"):
            spent(f"t.{function}('a(')", t="a")


def test_equal_parts_are_charged_wherever_they_are() -> None:
    one, other = "a" * 100_000, "".join(["a"] * 100_000)
    assert spent("a == b", a={one: 1}, b={other: 1}) > 1000
    assert spent("optional.of(a) == optional.of(b)", a=one, b=other) > 1000
    assert spent("optional.of(1) == optional.of(1) && optional.none() != optional.of(1)") < 20


def test_letters_beyond_ascii_are_left_alone() -> None:
    assert run("'ÀÉa'.lowerAscii() == 'ÀÉa' && 'àéa'.upperAscii() == 'àéA'")
    assert run(r"""strings.quote('a\\n"\n\t\u00e9') == '"a\\\\n\\"\\n\\t\u00e9"'""")
