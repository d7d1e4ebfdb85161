"""Check paths of objects: what tenants name leads to nothing but an object of that name."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from apiserver.client.errors import ApiException
from apiserver.client.objects import Resource, matches, split_key

SECRETS = Resource("", "v1", "secrets", "Secret")
WORKLOADS = Resource("workload.metal3.io", "v1alpha1", "workloads", "Workload")


def test_paths() -> None:
    assert SECRETS.path() == "/api/v1/secrets"
    assert SECRETS.path("team-a", "boot") == "/api/v1/namespaces/team-a/secrets/boot"
    assert WORKLOADS.path("team-a", "web.1", "status") == "/apis/workload.metal3.io/v1alpha1/namespaces/team-a/workloads/web.1/status"
    assert SECRETS.path("team-a", "a?b#c d") == "/api/v1/namespaces/team-a/secrets/a%3Fb%23c%20d"


@pytest.mark.parametrize("name", ["../../kube-system/secrets/x", "..", ".", "a/b", "/", "%2e%2e", "a%2Fb", "boot/../../../pods"])
def test_a_name_that_would_change_the_path_is_not_found(name: str) -> None:
    for parts in (("team-a", name), (name,), ("team-a", "x", name)):
        with pytest.raises(ApiException) as caught:
            SECRETS.path(*parts)
        assert caught.value.not_found
        assert caught.value.details == {"name": name}
    with pytest.raises(ApiException):
        Resource(f"x{name}", "v1/..", "secrets").path()


@given(st.text(min_size=1))
def test_whatever_the_name_the_request_is_for_an_object_of_this_namespace(name: str) -> None:
    try:
        path = SECRETS.path("team-a", name)
    except ApiException:
        return
    sent = URL(f"https://cluster{path}")
    assert sent.raw_path.startswith("/api/v1/namespaces/team-a/secrets/")
    assert unquote(sent.raw_path.removeprefix("/api/v1/namespaces/team-a/secrets/")) == name
    assert not sent.raw_query_string
    assert not sent.raw_fragment


@pytest.mark.parametrize(
    ("expression", "matching"),
    [
        ({"key": "a", "operator": "In", "values": ["1"]}, True),
        ({"key": "b", "operator": "NotIn", "values": ["1"]}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "operator": "DoesNotExist"}, False),
        ({"key": "a", "operator": "Nonsense"}, False),
    ],
)
def test_label_selectors(expression: dict[str, Any], matching: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"a": "1"}) is matching


def test_keys() -> None:
    assert split_key("a/b") == ("a", "b")
    assert split_key("b") == ("", "b")
