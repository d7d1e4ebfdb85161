"""Cover selectors: the grammar of apimachinery, and matching against a naive model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.selectors import FieldSelector, LabelSelector, Selector

KEYS = st.sampled_from(["a", "b", "example.com/c"])
VALUES = st.sampled_from(["", "x", "y", "10", "9"])
LABELS = st.dictionaries(KEYS, VALUES)
OPERATORS = st.sampled_from(["=", "==", "!=", "in", "notin", "exists", "!"])


@st.composite
def requirements(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    operator = draw(OPERATORS)
    size = (1, 3) if operator in ("in", "notin") else (1, 1)
    return draw(KEYS), operator, draw(st.lists(VALUES, min_size=size[0], max_size=size[1]))


def text_of(key: str, operator: str, values: list[str]) -> str:
    match operator:
        case "exists":
            return key
        case "!":
            return f"!{key}"
        case "in" | "notin":
            return f"{key} {operator} ({', '.join(values)})"
        case _:
            return f"{key}{operator}{values[0]}"


def naive(labels: dict[str, str], key: str, operator: str, values: list[str]) -> bool:
    match operator:
        case "exists":
            return key in labels
        case "!":
            return key not in labels
        case "in" | "=" | "==":
            return key in labels and labels[key] in values
        case _:
            return key not in labels or labels[key] not in values


@given(st.lists(requirements(), max_size=4), LABELS)
def test_labels_match_as_the_naive_model_says(wanted: list[tuple[str, str, list[str]]], labels: dict[str, str]) -> None:
    selector = LabelSelector.parse(",".join(text_of(*one) for one in wanted))
    assert selector.matches(labels) == all(naive(labels, *one) for one in wanted)


@given(st.text(alphabet="ab=!,() inot<>1-/.", max_size=24))
def test_any_text_is_a_label_selector_or_a_bad_request(text: str) -> None:
    try:
        LabelSelector.parse(text).matches({"a": "1"})
    except ApiError as error:
        assert error.code == 400  # noqa: PT017 - either outcome is right


@given(st.text(alphabet="ab=!,\\ .", max_size=16))
def test_any_text_is_a_field_selector_or_a_bad_request(text: str) -> None:
    try:
        FieldSelector.parse(text).matches({"a": "b"})
    except ApiError as error:
        assert error.code == 400  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "text", [",", "a,", "a=b,", "=b", "a in b", "a in (b", "a b", "a==", "-a", "a/b/c=d", "a=b c", "a=-", "a>x", "!", "a=" + "x" * 64]
)
def test_what_apimachinery_refuses_is_refused(text: str) -> None:
    if text == "a==":  # an empty value is fine
        assert LabelSelector.parse(text).matches({"a": ""})
        return
    with pytest.raises(ApiError) as refused:
        LabelSelector.parse(text)
    assert refused.value.code == 400


def test_in_with_nothing_means_the_empty_value() -> None:
    assert LabelSelector.parse("a in ()").matches({"a": ""})
    assert not LabelSelector.parse("a in ()").matches({"a": "b"})


def test_keywords_can_be_keys_and_values() -> None:
    assert LabelSelector.parse("in in (notin)").matches({"in": "notin"})


@pytest.mark.parametrize(("text", "value", "expected"), [("a>5", "6", True), ("a>5", "5", False), ("a<5", "4", True), ("a<5", "x", False)])
def test_numbers_are_compared(text: str, value: str, expected: bool) -> None:
    assert LabelSelector.parse(text).matches({"a": value}) is expected
    assert not LabelSelector.parse(text).matches({})


@given(st.text(min_size=0, max_size=8), st.text(max_size=8))
def test_escaped_field_values_mean_themselves(value: str, other: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    selector = FieldSelector.parse(f"spec.x={escaped},metadata.name!=y")
    assert selector.exact("spec.x") == value
    assert selector.matches({"spec.x": value, "metadata.name": "z"})
    assert selector.matches({"spec.x": other, "metadata.name": "z"}) is (other == value)


def test_unknown_fields_are_refused_with_those_there_are() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.x.*metadata\.name"):
        FieldSelector.parse("spec.x=1", {"metadata.name"})


@pytest.mark.parametrize("text", ["a", "a=b=c", "a=b\\c", "a=b\\"])
def test_bad_field_selectors_are_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        FieldSelector.parse(text)
    assert refused.value.code == 400


def test_both_selectors_must_hold() -> None:
    entry = Entry("k", "ns", "n", 1, b"{}", {"a": "b"}, {"metadata.name": "n"})
    assert Selector(LabelSelector.parse("a=b"), FieldSelector.parse("metadata.name=n")).matches(entry)
    assert not Selector(LabelSelector.parse("a=c"), FieldSelector.parse("metadata.name=n")).matches(entry)
    assert not Selector(LabelSelector.parse("a=b"), FieldSelector.parse("metadata.name=m")).matches(entry)
    assert not Selector()


def test_conditions_are_few() -> None:
    assert len(LabelSelector.parse(",".join(["a"] * 64)).requirements) == 64
    for parse, text in ((LabelSelector.parse, ",".join(["!a"] * 65)), (FieldSelector.parse, ",".join(["metadata.name=a"] * 65))):
        with pytest.raises(ApiError, match="more than 64 conditions"):
            parse(text)
