"""Cover RequestInfo: k8s.io/apiserver's own cases, and paths that could be read in two ways."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.handlers.request.call import RequestInfo, parse

G = "/apis/example.com/v1"


def info(verb: str, **more: Any) -> RequestInfo:
    return RequestInfo(is_resource=True, verb=verb, group="example.com", version="v1", **more)


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", f"{G}/widgets", {}, info("list", resource="widgets")),
        ("GET", f"{G}/widgets/", {}, info("list", resource="widgets")),
        ("HEAD", f"{G}/widgets/a", {}, info("get", resource="widgets", name="a")),
        ("GET", f"{G}/widgets", {"watch": "true"}, info("watch", resource="widgets")),
        ("GET", f"{G}/widgets", {"watch": "False"}, info("list", resource="widgets")),
        ("GET", f"{G}/widgets", {"watch": "0"}, info("list", resource="widgets")),
        ("GET", f"{G}/widgets", {"watch": ""}, info("watch", resource="widgets")),
        ("GET", f"{G}/widgets/a", {"watch": "true"}, info("get", resource="widgets", name="a")),
        ("GET", f"{G}/namespaces/n/widgets", {}, info("list", resource="widgets", namespace="n")),
        (
            "GET",
            f"{G}/namespaces/n/widgets",
            {"fieldSelector": "metadata.name=a"},
            info("list", resource="widgets", namespace="n", name="a"),
        ),
        ("GET", f"{G}/widgets", {"fieldSelector": "metadata.name!=a"}, info("list", resource="widgets")),
        ("GET", f"{G}/widgets", {"fieldSelector": "metadata.name=../a"}, info("list", resource="widgets")),
        ("GET", f"{G}/widgets", {"fieldSelector": "==="}, info("list", resource="widgets")),
        ("DELETE", f"{G}/namespaces/n/widgets", {}, info("deletecollection", resource="widgets", namespace="n")),
        ("DELETE", f"{G}/namespaces/n/widgets/a", {}, info("delete", resource="widgets", namespace="n", name="a")),
        ("POST", f"{G}/namespaces/n/widgets", {}, info("create", resource="widgets", namespace="n")),
        (
            "PUT",
            f"{G}/namespaces/n/widgets/a/status",
            {},
            info("update", resource="widgets", namespace="n", name="a", subresource="status"),
        ),
        ("PATCH", f"{G}/racks/a", {}, info("patch", resource="racks", name="a")),
        ("FROB", f"{G}/racks/a", {}, info("", resource="racks", name="a")),
        ("GET", f"{G}/namespaces/n", {}, info("get", resource="namespaces", namespace="n", name="n")),
        ("GET", f"{G}/namespaces/n/status", {}, info("get", resource="namespaces", namespace="n", name="n", subresource="status")),
        ("GET", f"{G}/widgets/a%20b", {}, info("get", resource="widgets", name="a b")),
    ],
)
def test_resource_requests(method: str, path: str, query: dict[str, str], expected: RequestInfo) -> None:
    found = parse(method, path, query)
    expected.path = found.path
    assert found == expected


def test_the_core_group_has_no_name() -> None:
    found = parse("GET", "/api/v1/namespaces/n/secrets/s", {})
    assert (found.group, found.version, found.namespace, found.resource, found.name) == ("", "v1", "n", "secrets", "s")
    assert parse("GET", "/api/v1/namespaces", {}).resource == "namespaces"


def test_what_follows_a_subresource_is_kept_apart() -> None:
    assert parse("GET", f"{G}/widgets/a/b/c/d", {}).rest == ("c", "d")


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis", "/apis/g", "/apis/g/v1", "/openapi/v3/apis/g/v1", "/healthz/a/b/c", "/API/v1/x"]
)
def test_other_paths_are_no_resource_requests(path: str) -> None:
    found = parse("POST", path, {})
    assert (found.is_resource, found.verb, found.path) == (False, "post", path)


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/x",
        f"{G}//widgets",
        f"{G}/widgets/..",
        f"{G}/./widgets",
        f"{G}/widgets/%2e%2e",
        f"{G}/widgets/a%2Fstatus",
        f"{G}/widgets/a%5cb",
        f"{G}/widgets/%00",
        f"{G}/widgets/%ff",
        f"{G}/widgets/a%0ab",
        "api/v1/x",
        "",
        f"{G}/widgets//",
    ],
)
def test_paths_that_could_be_read_in_two_ways_are_refused(path: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse("GET", path, {})
    assert refused.value.code == 400


@given(
    st.sampled_from(["GET", "POST", "DELETE", "FROB"]),
    st.text(alphabet="/ap%2Ffis.v1né\0\\?#", max_size=40) | st.text(max_size=30).map(lambda text: f"{G}/{text}"),
    st.dictionaries(st.sampled_from(["watch", "fieldSelector"]), st.text(max_size=12)),
)
def test_anything_is_understood_or_refused(method: str, path: str, query: dict[str, str]) -> None:
    try:
        found = parse(method, path, query)
    except ApiError as error:
        assert error.code == 400  # noqa: PT017 - either outcome is right
    else:
        words = [found.group, found.version, found.namespace, found.resource, found.name, found.subresource, *found.rest]
        assert not any("/" in word or word in (".", "..") for word in words)
        assert found.is_resource == bool(found.resource)


def outcome(path: str) -> RequestInfo | str:
    try:
        return parse("GET", path, {})
    except ApiError as error:
        return error.message


@given(st.text("/a1._-~%2eé ", max_size=30).map(lambda text: "/" + text))
def test_ordinary_paths_are_read_as_all_others(path: str) -> None:
    escaped = re.sub("(?<!%)(?<!%.)[a1]", lambda found: f"%{ord(found[0]):02x}", path)
    assert outcome(escaped) == outcome(path)
