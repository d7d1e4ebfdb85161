"""Audit events as they are written."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apiserver.endpoints.call import parse
from apiserver.filters.auditevent import METADATA, REQUEST, RESPONSE, Record, encode
from apiserver.registry.context import UserInfo

CREATE = parse("POST", "/apis/g/v1/namespaces/n/things", {})
BODY = b'{"metadata":{"name":"t","managedFields":[1]},"spec":{"password":"canary"}}'
ANSWER = b'{"metadata":{"name":"t","uid":"u","managedFields":[1]},"spec":{"password":"canary"}}'


def record(**fields: Any) -> Record:
    usual = {"level": METADATA, "audit_id": "a-1", "stage": "ResponseComplete", "uri": "/apis/g/v1/namespaces/n/things?x=y", "info": CREATE}
    who = {"user": UserInfo("alice", "7", ("devs",), {"s": ("a",)}), "received": 1767225600.0, "now": 1767225600.25}
    return Record(**{**usual, **who, **fields})


def event(**fields: Any) -> Any:
    line = encode(record(**fields))
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


def test_a_status_is_told_by_its_bounded_fields() -> None:
    status = {"kind": "Status", "metadata": {}, "status": "Success", "details": {"name": "t"}, "other": "x"}
    found = event(status={"code": 200}, answer=json.dumps(status).encode())
    assert found["responseStatus"] == {"metadata": {}, "status": "Success", "details": {"name": "t"}, "code": 200}


def test_whom_somebody_acts_as() -> None:
    found = event(impersonated=UserInfo("bob"))
    assert (found["user"]["username"], found["impersonatedUser"]) == ("alice", {"username": "bob"})
    assert event(user=None)["user"] == {}


def test_yaml_and_what_is_neither() -> None:
    assert event(level=REQUEST, body=b"metadata:\n  name: t\n")["requestObject"] == {"metadata": {"name": "t"}}
    for body in (b"\xff\xfe", b"text", b"a: 2026-01-01\nb: !!binary x", b"&a [*a]"):
        assert "requestObject" not in event(level=REQUEST, body=body)


@given(st.binary(max_size=64))
def test_no_body_breaks_it(body: bytes) -> None:
    assert event(level=RESPONSE, body=body, answer=body)["auditID"] == "a-1"
