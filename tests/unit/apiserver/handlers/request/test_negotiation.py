"""Cover Accept and Content-Type."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from apiserver.apis.status import ApiError
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import Form, content_type, negotiate

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
KUBECTL = f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
PARTIAL = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = f"application/vnd.kubernetes.protobuf;{PARTIAL},application/json;{PARTIAL},application/json"


def call(accept: str | None, path: str = "/x", agent: str = "kubectl/v1") -> Call:
    headers = {"User-Agent": agent} | ({"Accept": accept} if accept is not None else {})
    return Call(make_mocked_request("GET", path, headers=headers))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, Form()),
        ("", Form()),
        ("*/*", Form()),
        ("application/*", Form()),
        ("application/json", Form()),
        ("application/yaml", Form("application/yaml")),
        ("text/html, */*;q=0.1", Form()),
        ("application/json;q=0.5, application/yaml", Form("application/yaml")),
        ("application/vnd.kubernetes.protobuf, application/json", Form()),
        ("application/json;pretty=1", Form(pretty=True)),
        (KUBECTL, Form(kind="Table")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Form(kind="Table", version="v1beta1")),
        (METADATA, Form(kind="PartialObjectMetadataList")),
        ("application/json;as=Frob;v=v1;g=meta.k8s.io, application/yaml", Form("application/yaml")),
        ("application/json;as=Table;v=v2;g=meta.k8s.io, application/json", Form()),
        ("application/json;q=bad", Form()),
    ],
)
def test_the_best_alternative_that_can_be_made_is_taken(accept: str | None, expected: Form) -> None:
    assert negotiate(call(accept)) == expected


@pytest.mark.parametrize(
    "accept",
    ["application/vnd.kubernetes.protobuf", "application/cbor", "text/plain", "application/json;q=0", ";", "application/json;as=Table"],
)
def test_what_cannot_be_made_is_not_acceptable(accept: str) -> None:
    with pytest.raises(ApiError) as refused:
        negotiate(call(accept))
    assert refused.value.code == 406


def test_watches_are_json_only() -> None:
    assert negotiate(call("application/yaml, application/json;stream=watch"), watch=True) == Form()
    with pytest.raises(ApiError):
        negotiate(call("application/yaml"), watch=True)


@pytest.mark.parametrize(
    ("path", "agent", "pretty"),
    [
        ("/x", "curl/8", True),
        ("/x?pretty=false", "curl/8", False),
        ("/x?pretty=true", "", True),
        ("/x?pretty", "", False),
        ("/x", "Go", False),
    ],
)
def test_people_get_it_pretty(path: str, agent: str, pretty: bool) -> None:
    assert negotiate(call(None, path, agent)).pretty is pretty


def test_a_bad_include_object_is_refused_only_for_tables() -> None:
    assert negotiate(call(None, "/x?includeObject=All")) == Form()
    with pytest.raises(ApiError, match="includeObject"):
        negotiate(call(TABLE, "/x?includeObject=All"))


def test_content_types() -> None:
    assert content_type("") == "application/json"
    assert content_type("Application/YAML; charset=utf-8") == "application/yaml"
    with pytest.raises(ApiError) as refused:
        content_type("application/vnd.kubernetes.protobuf")
    assert refused.value.code == 415


def test_a_long_list_of_alternatives_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        negotiate(call("a/b," * 2000))
    assert refused.value.code == 400
