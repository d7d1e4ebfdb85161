"""LIST with selectors, consistent pages and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.handlers.response.continuetoken import Token
from apiserver.handlers.timings import Timings
from tests.unit.apiserver.handlers.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.apiserver.handlers.conftest import Service

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}


def names(found: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


async def test_a_namespace_or_all(service: Service) -> None:
    made = [await service.make("a"), await service.make("b")]
    await service.make("c", namespace="other")
    status, found = await service.ask("GET", "widgets")
    assert status == 200
    assert (found["kind"], found["apiVersion"], found["items"]) == ("WidgetList", "example.com/v1", made)
    assert int(found["metadata"]["resourceVersion"]) == service.cache.revision
    assert names((await service.ask("GET", f"{PREFIX}/widgets"))[1]) == ["a", "b", "c"]
    assert (await service.ask("GET", f"{PREFIX}/namespaces/n/widgets"))[1]["items"] == []
    assert (await service.ask("GET", f"{PREFIX}/racks"))[1]["kind"] == "RackList"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"labelSelector": "team=x"}, ["a"]),
        ({"labelSelector": "team!=x"}, ["b", "ab"]),
        ({"fieldSelector": "metadata.name=a"}, ["a"]),
        ({"fieldSelector": "metadata.name!=a"}, ["b", "ab"]),
        ({"fieldSelector": "spec.mode=slow"}, ["a", "b", "ab"]),
        ({"fieldSelector": "spec.mode=fast"}, []),
        ({"fieldSelector": "metadata.namespace=ns", "labelSelector": "team"}, ["a", "ab"]),
    ],
)
async def test_selectors(service: Service, query: dict[str, str], expected: list[str]) -> None:
    await service.make("a", labels={"team": "x"})
    await service.make("ab", labels={"team": "y"})
    await service.make("b")
    for path in ("widgets", f"{PREFIX}/widgets"):
        _, found = await service.ask("GET", path, query=query)
        assert sorted(names(found)) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"fieldSelector": "spec.size=1"}, 400),
        ({"labelSelector": "a in"}, 400),
        ({"limit": "x"}, 400),
        ({"resourceVersion": "-1"}, 400),
        ({"continue": "x"}, 400),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
        ({"resourceVersionMatch": "Frob", "resourceVersion": "1"}, 422),
        ({"sendInitialEvents": "true"}, 422),
    ],
)
async def test_invalid_list_queries_are_refused(service: Service, query: dict[str, str], code: int) -> None:
    status, found = await service.ask("GET", "widgets", query=query)
    assert (status, found["kind"], found["status"]) == (code, "Status", "Failure")


async def test_pages_show_one_moment(service: Service) -> None:
    for name in "abcde":
        await service.make(name)
    _, first = await service.ask("GET", "widgets", query={"limit": "2"})
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await service.ask("DELETE", "widgets/d")
    await service.make("bb")
    _, second = await service.ask("GET", "widgets", query={"limit": "2", "continue": first["metadata"]["continue"]})
    assert names(second) == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["metadata"]["remainingItemCount"] == 1
    _, third = await service.ask("GET", "widgets", query={"limit": "2", "continue": second["metadata"]["continue"]})
    assert names(third) == ["e"]
    assert third["metadata"]["continue"] == ""
    assert "remainingItemCount" not in third["metadata"]


@pytest.mark.parametrize("disturbed", [False, True])
async def test_pages_with_a_selector(service: Service, disturbed: bool) -> None:
    for number in range(6):
        await service.make(f"w{number}", labels={"odd": str(number % 2)})
    query = {"limit": "1", "labelSelector": "odd=1"}
    found, seen = (await service.ask("GET", "widgets", query=query))[1], []
    while True:
        seen += names(found)
        assert "remainingItemCount" not in found["metadata"]
        if not found["metadata"]["continue"]:
            break
        if disturbed:
            await service.make(f"x{len(seen)}", labels={"odd": "1"})
        found = (await service.ask("GET", "widgets", query={**query, "continue": found["metadata"]["continue"]}))[1]
    assert seen == ["w1", "w3", "w5"]


async def test_a_compacted_page_offers_to_continue_with_the_present(service: Service) -> None:
    for name in "abc":
        await service.make(name)
    _, first = await service.ask("GET", "widgets", query={"limit": "1"})
    await service.make("bb")
    await service.cache.compact(service.cache.revision)
    status, expired = await service.ask("GET", "widgets", query={"limit": "2", "continue": first["metadata"]["continue"]})
    assert (status, expired["reason"]) == (410, "Expired")
    status, rest = await service.ask("GET", "widgets", query={"limit": "2", "continue": expired["metadata"]["continue"]})
    assert (status, names(rest)) == (200, ["b", "bb"])
    assert rest["metadata"]["remainingItemCount"] == 1


async def test_a_token_leads_nowhere_else(service: Service) -> None:
    await service.make("a", namespace="secret")
    token = Token(service.cache.revision, "secret/").encode()
    status, _ = await service.ask("GET", "widgets", query={"continue": token})
    assert status == 400
    status, _ = await service.ask("GET", "widgets", query={"continue": token, "resourceVersion": "1"})
    assert status == 400


async def test_versions(service: Service) -> None:
    service.api.watches.timings = Timings(future=0.01)
    then = (await service.make("a"))["metadata"]["resourceVersion"]
    await service.make("b")
    assert names((await service.ask("GET", "widgets", query={"resourceVersion": "0"}))[1]) == ["a", "b"]
    assert names((await service.ask("GET", "widgets", query={"resourceVersion": then}))[1]) == ["a", "b"]
    assert names((await service.ask("GET", "widgets", query={"resourceVersion": then, "resourceVersionMatch": "NotOlderThan"}))[1]) == [
        "a",
        "b",
    ]
    _, exact = await service.ask("GET", "widgets", query={"resourceVersion": then, "resourceVersionMatch": "Exact"})
    assert (names(exact), exact["metadata"]["resourceVersion"]) == (["a"], then)
    _, legacy = await service.ask("GET", "widgets", query={"resourceVersion": then, "limit": "5"})
    assert names(legacy) == ["a"]
    assert (await service.ask("GET", "widgets", query={"resourceVersion": "999"}))[0] == 504
    await service.cache.compact(service.cache.revision)
    assert (await service.ask("GET", "widgets", query={"resourceVersion": then, "resourceVersionMatch": "Exact"}))[0] == 410


async def test_an_exact_list_knows_what_remains(service: Service) -> None:
    for name in "abc":
        then = (await service.make(name))["metadata"]["resourceVersion"]
    await service.make("d")
    _, found = await service.ask("GET", "widgets", query={"resourceVersion": then, "resourceVersionMatch": "Exact", "limit": "2"})
    assert (names(found), found["metadata"]["remainingItemCount"]) == (["a", "b"], 1)


async def test_tables(service: Service) -> None:
    await service.make("a")
    await service.make("b")
    _, found = await service.ask("GET", "widgets", query={"limit": "1", "includeObject": "None"}, headers=TABLE)
    assert found["rows"][0]["object"] is None
    assert found["metadata"]["remainingItemCount"] == 1
    _, found = await service.ask("GET", "widgets", query={"includeObject": "Object"}, headers=TABLE)
    assert [row["object"]["spec"]["size"] for row in found["rows"]] == [1, 1]
    _, racks = await service.ask("GET", f"{PREFIX}/racks", headers=TABLE)
    assert racks["rows"] == []
    assert [column["name"] for column in racks["columnDefinitions"]] == ["Name", "Age"]


async def test_metadata(service: Service) -> None:
    made = await service.make("a")
    _, found = await service.ask("GET", "widgets", headers=PARTIAL)
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert found["items"] == [{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]}]
    status, _ = await service.ask("GET", "widgets", headers={"Accept": PARTIAL["Accept"].replace("MetadataList;", "Metadata;")})
    assert status == 406


async def test_large_lists_arrive_whole(service: Service) -> None:
    for number in range(8):
        await service.make(f"w{number}", annotations={"large": "x" * 100_000})
    response = await service.send("GET", "widgets", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in response.headers
    assert len(orjson.loads(response.body)["items"]) == 8
    assert response.headers["Content-Length"] == str(len(response.body))
    assert len(response.body) > 3 * 256 * 1024


@pytest.mark.parametrize("headers", [{}, TABLE, PARTIAL])
async def test_large_lists_are_compressed_if_the_client_accepts_gzip(service: Service, headers: dict[str, str]) -> None:
    for number in range(3):
        await service.make(f"w{number}", annotations={"large": "x" * 100_000})
    plain = await service.send("GET", "widgets", headers={**headers, "Accept-Encoding": "identity"})
    for _ in range(2):
        compressed = await service.send("GET", "widgets", headers={**headers, "Accept-Encoding": "gzip"})
        assert (compressed.headers["Content-Encoding"], compressed.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert int(compressed.headers["Content-Length"]) < len(plain.body) / 10
        assert compressed.body == plain.body  # the client has decompressed it
    small = await service.send("GET", "widgets?limit=1", headers={**headers, "Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


async def test_lists_are_as_new_as_the_objects(service: Service) -> None:
    """Check that the kept parts of an answer serve the next one, and show nothing old."""
    count = 34
    for number in range(count):
        await service.make(f"w-{number:03}", labels={"odd": str(number % 2)})

    async def sizes(query: dict[str, str] | None = None) -> list[int]:
        status, found = await service.ask("GET", "widgets", query=query, headers={"Accept-Encoding": "identity"})
        assert (status, found["kind"], found["metadata"]["continue"]) == (200, "WidgetList", "")
        assert int(found["metadata"]["resourceVersion"]) == service.cache.revision
        return [item["spec"]["size"] for item in found["items"]]

    assert await sizes() == await sizes() == [1] * count
    status, _ = await service.ask("PATCH", "widgets/w-001", {"spec": {"size": 7}}, headers={"Content-Type": "application/merge-patch+json"})
    assert status == 200
    assert await sizes() == [1, 7] + [1] * (count - 2)
    assert (await sizes({"labelSelector": "odd=1"}))[:2] == [7, 1]
    assert (await service.ask("DELETE", "widgets/w-001"))[0] == 200
    assert await sizes() == [1] * (count - 1)
    assert await sizes({"fieldSelector": "metadata.name!=w-000"}) == [1] * (count - 2)
