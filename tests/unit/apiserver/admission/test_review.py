"""Check what webhooks are asked, and which answers are accepted."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.admission.review import BadAnswer, denial, question, request_of, verdict, version_of
from tests.unit.apiserver.admission.writes import THINGS, thing, write

PATCH = base64.b64encode(b'[{"op":"remove","path":"/spec"}]').decode()


def test_everything_about_a_creation_is_reported() -> None:
    attributes = write()
    asked = question("v1", request_of("u-1", attributes))
    assert asked == {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u-1",
            "kind": {"group": "g", "version": "v1", "kind": "Thing"},
            "resource": {"group": "g", "version": "v1", "resource": "things"},
            "requestKind": {"group": "g", "version": "v1", "kind": "Thing"},
            "requestResource": {"group": "g", "version": "v1", "resource": "things"},
            "name": "x",
            "namespace": "n",
            "operation": "CREATE",
            "userInfo": {"username": "alice", "uid": "7", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}},
            "object": thing(),
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }


def test_an_action_is_recognized_by_the_kind_of_its_body() -> None:
    binding = {"apiVersion": "g/v2", "kind": "Binding", "target": {"name": "h"}}
    asked = request_of("u", write("CREATE", THINGS, "binding", new=binding))
    assert asked["kind"] == {"group": "g", "version": "v2", "kind": "Binding"}
    assert (asked["resource"]["resource"], asked["subResource"], asked["requestSubResource"]) == ("things", "binding", "binding")


def test_a_deletion_has_the_old_object_only() -> None:
    asked = request_of("u", write("DELETE"))
    assert (asked["object"], asked["oldObject"]["metadata"]["name"]) == (None, "x")


def test_versions() -> None:
    assert version_of(["v9", "v1beta1", "v1"]) == "v1beta1"
    with pytest.raises(BadAnswer, match="known AdmissionReview versions"):
        version_of(["v9"])


def answer(**response: Any) -> bytes:
    return orjson.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u", "allowed": True, **response}}
    )


def test_a_full_answer() -> None:
    found = verdict("u", "v1", answer(patch=PATCH, patchType="JSONPatch", warnings=["w"], auditAnnotations={"k": "v"}), mutating=True)
    assert (found.allowed, found.patch, found.warnings, found.annotations) == (
        True,
        [{"op": "remove", "path": "/spec"}],
        ("w",),
        {"k": "v"},
    )
    assert not verdict("u", "v1", answer(allowed="yes"), mutating=True).allowed


@pytest.mark.parametrize(
    ("body", "mutating", "said"),
    [
        (b"nonsense", True, "not JSON"),
        (b"[]", True, "response was absent"),
        (b"{}", True, "response was absent"),
        (answer(uid="other"), True, 'expected response.uid="u", got "other"'),
        (orjson.dumps({"apiVersion": "v1", "kind": "AdmissionReview", "response": {"uid": "u"}}), True, "expected webhook response of"),
        (answer(patch=PATCH), True, "not response.patchType"),
        (answer(patchType="JSONPatch"), True, "not response.patch"),
        (answer(patch=PATCH, patchType="Merge"), True, 'unsupported patch type "Merge"'),
        (answer(patch="%%", patchType="JSONPatch"), True, "undecodable patch"),
        (answer(patch=base64.b64encode(b"{}").decode(), patchType="JSONPatch"), True, "undecodable patch"),
        (answer(patch=PATCH, patchType="JSONPatch"), False, "validating webhook may not return response.patch"),
        (answer(patchType="JSONPatch"), False, "validating webhook may not return response.patchType"),
    ],
)
def test_answers_that_are_not_believed(body: bytes, mutating: bool, said: str) -> None:
    with pytest.raises(BadAnswer, match=said):
        verdict("u", "v1", body, mutating=mutating)


def test_v1beta1_is_not_checked_for_what_it_never_had() -> None:
    body = orjson.dumps({"response": {"allowed": True, "patch": PATCH}})
    assert verdict("u", "v1beta1", body, mutating=True).patch == [{"op": "remove", "path": "/spec"}]


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(orjson.dumps))
def test_no_answer_breaks_it(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        verdict("u", "v1", body, mutating=True)


@pytest.mark.parametrize(
    ("result", "code", "message"),
    [
        ({}, 400, 'admission webhook "w" denied the request without explanation'),
        ({"reason": "Forbidden", "code": 403}, 403, 'admission webhook "w" denied the request: Forbidden'),
        ({"message": "no", "reason": "Forbidden", "code": 403}, 403, 'admission webhook "w" denied the request: no'),
        ({"message": "no", "code": 200, "status": "Success"}, 400, 'admission webhook "w" denied the request: no'),
    ],
)
def test_denials(result: dict[str, Any], code: int, message: str) -> None:
    error = denial("w", result)
    assert (error.code, error.message, error.status()["status"]) == (code, message, "Failure")
