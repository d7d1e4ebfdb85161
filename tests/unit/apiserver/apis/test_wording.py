"""Check that models complain in kube-apiserver's words; tests/conformance/cases/wording.py compares
them with kube-apiserver's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core.core_schema import ErrorType

from apiserver.apis.wording import parameter_problems, sentence, worded
from apiserver.apis.workload import Workload

PYDANTICS = ("Input should", "Extra inputs", "Field required", "Value error", "should be a valid", "String should", "after validation")


class Flavor(BaseModel):
    """Describe a part of the parameters."""

    model_config = ConfigDict(extra="forbid")

    name: str
    count: int = Field(default=1, ge=1)


class Parameters(BaseModel):
    """Describe parameters such as those of a class."""

    model_config = ConfigDict(extra="forbid", strict=True)

    namespace: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    mode: Literal["fast", "slow"] = "slow"
    flavors: list[Flavor] | None = None
    by_name: dict[str, Flavor] = Field(default={}, alias="byName")


CONTEXT = {
    **dict.fromkeys(("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "actual_length"), 5),
    **{"expected": "'a' or 'b'", "pattern": "^a$", "error": "in our own words"},
}


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_nothing_that_pydantic_can_say_reaches_users(kind: str) -> None:
    detail: Any = {"type": kind, "loc": ("spec", "x", 0), "input": "v", "msg": "Input should be what pydantic says", "ctx": CONTEXT}
    for said in (worded(detail)[1], sentence(detail)):
        assert said
        assert not [phrase for phrase in PYDANTICS if phrase in said]


def complaints(spec: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        Workload.decode({"metadata": {"name": "w"}, "spec": spec})
    return [worded(detail) for detail in refused.value.errors(include_url=False)]


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (
            {"requirements": {"cpuCount": 0}},
            "FieldValueInvalid",
            "Invalid value: 0: spec.requirements.cpuCount in body should be greater than or equal to 1",
        ),
        (
            {"reclaimPolicy": "Keep"},
            "FieldValueNotSupported",
            'Unsupported value: "Keep": supported values: "Delete", "Retain"',
        ),
        ({"hostRef": {}}, "FieldValueRequired", "Required value"),
        (
            {"online": "yes"},
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.online in body must be of type boolean: "string"',
        ),
    ],
)
def test_a_workload_is_refused_in_the_words_of_kube_apiserver(spec: dict[str, Any], reason: str, message: str) -> None:
    assert complaints(spec) == [(reason, message)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"typo": 1}, 'unknown parameter "typo": there are byName, flavors, mode, namespace'),
        ({"flavors": [{"name": "a", "cout": 1}]}, 'unknown parameter "cout" in flavors[0]: there are count, name'),
        ({"byName": {"x": {"name": "a", "y": 1}}}, 'unknown parameter "y" in byName.x: there are count, name'),
        ({"mode": "swift"}, 'mode: Unsupported value: "swift": supported values: "fast", "slow"'),
        ({"namespace": "A"}, "namespace: Invalid value: \"A\": should match '^[a-z]+$'"),
        ({"namespace": 1}, 'namespace: Invalid value: "integer": must be of type string: "integer"'),
        ({"flavors": [{"name": "a", "count": 0}]}, "flavors[0].count: Invalid value: 0: should be greater than or equal to 1"),
        ({"flavors": [{}]}, "flavors[0].name: Required value"),
    ],
)
def test_parameters_are_refused_with_those_there_are(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Parameters.model_validate(given)
    assert parameter_problems(refused.value, Parameters) == said
