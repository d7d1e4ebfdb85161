"""Check audit events as they are written."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.audit.event import METADATA, OBJECT, REQUEST, RESPONSE, Record, Sent, encode, noted
from apiserver.handlers.request.call import parse
from apiserver.registry.generic.context import UserInfo
from tests.unit.cost import assert_cheaper

CREATE = parse("POST", "/apis/g/v1/namespaces/n/things", {})
BODY = b'{"metadata":{"name":"t","managedFields":[1]},"spec":{"password":"canary"}}'
ANSWER = b'{"metadata":{"name":"t","uid":"u","managedFields":[1]},"spec":{"password":"canary"}}'


def record(**fields: Any) -> Record:
    usual = {"level": METADATA, "audit_id": "a-1", "stage": "ResponseComplete", "uri": "/apis/g/v1/namespaces/n/things?x=y", "info": CREATE}
    who = {"user": UserInfo("alice", "7", ("devs",), {"s": ("a",)}), "received": 1767225600.0, "now": 1767225600.25}
    return Record(**{**usual, **who, **fields})


def event(*, body: bytes = b"", **fields: Any) -> Any:
    """Return the event of a request whose body the request path has decoded."""
    how = {"omit_managed_fields": fields.get("omit_managed_fields", False)}
    sent = noted(json.loads(body), fields.get("level", METADATA), **how) if body else None
    line = encode(record(sent=sent, **fields))
    assert line.count(b"\n") == 1
    return json.loads(line)


def test_metadata() -> None:
    found = event(sources=["10.0.0.1"], agent="kubectl", status={"code": 201}, body=BODY, annotations={"k": "v"})
    assert found == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/apis/g/v1/namespaces/n/things?x=y",
        "verb": "create",
        "user": {"username": "alice", "uid": "7", "groups": ["devs"], "extra": {"s": ["a"]}},
        "sourceIPs": ["10.0.0.1"],
        "userAgent": "kubectl",
        "objectRef": {"resource": "things", "namespace": "n", "name": "t", "apiGroup": "g", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "stageTimestamp": "2026-01-01T00:00:00.250000Z",
        "annotations": {"k": "v"},
    }


def test_bodies_by_level() -> None:
    assert "canary" not in json.dumps(event(body=BODY, answer=ANSWER))
    request = event(level=REQUEST, body=BODY, answer=ANSWER)
    assert (request["requestObject"], "responseObject" in request) == (json.loads(BODY), False)
    both = event(level=RESPONSE, body=BODY, answer=ANSWER)
    assert (both["requestObject"], both["responseObject"]) == (json.loads(BODY), json.loads(ANSWER))


def test_managed_fields_can_be_left_out() -> None:
    listed = {"kind": "ThingList", "metadata": {}, "items": [json.loads(ANSWER)]}
    table = {"kind": "Table", "metadata": {}, "rows": [{"cells": [], "object": json.loads(ANSWER)}]}
    for answer in (json.loads(ANSWER), listed, table):
        found = event(level=RESPONSE, body=BODY, answer=json.dumps(answer).encode(), omit_managed_fields=True)
        assert "managedFields" not in json.dumps(found)
        assert "canary" in json.dumps(found["responseObject"])


def test_a_status_is_recognized_by_its_bounded_fields() -> None:
    status = {"kind": "Status", "metadata": {}, "status": "Success", "details": {"name": "t"}, "other": "x"}
    found = event(status={"code": 200}, answer=json.dumps(status).encode())
    assert found["responseStatus"] == {"metadata": {}, "status": "Success", "details": {"name": "t"}, "code": 200}


def test_impersonated_users_are_recorded() -> None:
    found = event(impersonated=UserInfo("bob"))
    assert (found["user"]["username"], found["impersonatedUser"]) == ("alice", {"username": "bob"})
    assert event(user=None)["user"] == {}


def test_an_answer_that_is_not_json_is_left_out() -> None:
    for answer in (b"metadata:\n  name: t\n", b"\xff\xfe", b"text", b"a: 2026-01-01\nb: !!binary x", b"&a [*a]", b"[" * 2000):
        found = event(level=RESPONSE, answer=answer)
        assert ("responseObject" in found, found["auditID"]) == (False, "a-1")


def test_an_answer_is_never_read_as_yaml() -> None:
    """Check the cost of an answer in YAML, which can expand: reading it would cost more than its
    length."""
    bomb = b"a: &a [1, 2]\n" + b"".join(b"b%d: [*a, *a]\n" % number for number in range(50_000))
    assert_cheaper(lambda: event(level=RESPONSE, answer=bomb), lambda: orjson.loads(orjson.dumps(list(range(200_000)))), 20)


def test_what_a_handler_does_to_the_value_afterwards_is_not_recorded() -> None:
    value = {"metadata": {"name": "t"}, "spec": {"a": 1}}
    sent = noted(value, REQUEST)
    value["spec"] = "changed"
    assert json.loads(encode(record(level=REQUEST, sent=sent)))["requestObject"]["spec"] == {"a": 1}


def test_a_large_object_is_left_out_and_the_event_says_so() -> None:
    large = json.dumps({"metadata": {"name": "t" * OBJECT}, "spec": "canary"}).encode()
    said = {"k": "v"}
    for found in (event(annotations=said, body=large, level=REQUEST), event(annotations=said, answer=large, level=RESPONSE)):
        assert found["annotations"] == {"k": "v", "audit.k8s.io/truncated": "true"}
        assert "canary" not in json.dumps(found)
        assert len(json.dumps(found)) < 4096
    assert "annotations" not in event(answer=large), "at level Metadata it would not be recorded anyhow"


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_an_event_that_cannot_be_encoded_is_recorded_without_its_objects(text: str) -> None:
    line = encode(record(level=REQUEST, agent=text, sent=Sent(encoded=BODY)))
    found = json.loads(line)
    assert (found["auditID"], found["annotations"], "requestObject" in found) == ("a-1", {"audit.k8s.io/truncated": "true"}, False)
    assert noted({"a": text}, REQUEST).truncated


@given(st.binary(max_size=64))
def test_no_answer_breaks_it(answer: bytes) -> None:
    assert event(level=RESPONSE, answer=answer)["auditID"] == "a-1"
