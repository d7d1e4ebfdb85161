"""POST, PUT, PATCH, DELETE and run actions over HTTP: codes, reasons and shapes."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.handlers.request.body import LIMIT
from apiserver.registry.generic.entry import encode_stored
from storage.base import Delete, Put
from tests.unit.apiserver.handlers.conftest import PREFIX, widget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.apiserver.handlers.conftest import Service

MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


async def test_create(service: Service) -> None:
    status, made = await service.ask("POST", "widgets", widget("a"))
    assert status == 201
    assert made["metadata"]["namespace"] == "ns"
    assert made["spec"] == {"size": 1, "mode": "slow"}
    status, again = await service.ask("POST", "widgets", widget("a"))
    assert (status, again["reason"], again["message"]) == (409, "AlreadyExists", 'widgets.example.com "a" already exists')


async def test_create_from_yaml_with_a_generated_name(service: Service) -> None:
    body = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {generateName: w-}\nspec: {size: 2}\n"
    answer = await service.send("POST", "widgets", body, {"Content-Type": "application/yaml"})
    assert answer.status == 201
    assert orjson.loads(answer.body)["metadata"]["name"].startswith("w-")


async def test_a_write_sees_what_another_replica_has_just_acknowledged(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[bytes] = []

    async def confirm() -> int:
        """Let another writer's commit arrive now, as over a shared store."""
        if late:
            entry = service.widgets.get("ns", "a")
            await service.cache.commit([Put(entry.key.replace("/a", "/b"), late.pop())])
        return service.cache.revision

    await service.make("a")
    stored = await service.cache.get(service.widgets.get("ns", "a").key)
    assert stored is not None
    monkeypatch.setattr(service.cache, "confirm", confirm)
    patch = ("PATCH", "widgets/b", {"spec": {"size": 9}}, MERGE)
    for method, path, body, headers in (patch, ("POST", "widgets/b/binding", {"target": "x"}, None), ("DELETE", "widgets/b", None, None)):
        late.append(stored.value.replace(b'"name":"a"', b'"name":"b"'))
        status, answer = await service.ask(method, path, body, headers=headers)
        assert status in (200, 201), answer
        await service.cache.commit([Delete(stored.key.replace("/a", "/b"))])


async def test_a_dry_run_stores_nothing(service: Service) -> None:
    assert (await service.ask("POST", "widgets", widget("a"), {"dryRun": "All"}))[0] == 201
    assert (await service.ask("GET", "widgets/a"))[0] == 404
    await service.make("a")
    status, changed = await service.ask("PATCH", "widgets/a", {"spec": {"size": 9}}, {"dryRun": "All"}, headers=MERGE)
    assert (status, changed["spec"]["size"]) == (200, 9)
    assert (await service.ask("DELETE", "widgets/a", query={"dryRun": "All"}))[0] == 200
    assert (await service.ask("DELETE", "widgets/a", {"dryRun": ["All"]}))[0] == 200
    assert (await service.ask("GET", "widgets/a"))[1]["spec"]["size"] == 1


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"kind": "Rack"}, 422, "must be Widget"),
        ({"kind": ""}, 400, "Object 'Kind' is missing"),
        ({"apiVersion": "example.com/v2"}, 400, "does not match the expected API version (example.com/v1)"),
        ({"metadata": {"name": "a", "namespace": "other"}}, 400, "namespace of the provided object does not match"),
        ({"metadata": []}, 400, "metadata must be an object"),
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"spec": {"size": 0}}, 422, "spec.size"),
        ({"spec": {"size": "x"}}, 422, "must be of type integer"),
    ],
)
async def test_invalid_creations_are_refused(service: Service, change: dict[str, Any], code: int, message: str) -> None:
    status, found = await service.ask("POST", "widgets", {**widget("a"), **change})
    assert (status, found["kind"]) == (code, "Status")
    assert message in found["message"]


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"a: [", "application/yaml", 400),
        (b"{}", "application/vnd.kubernetes.protobuf", 415),
        (b"{}", "text/plain", 415),
    ],
)
async def test_bodies_that_are_refused(service: Service, body: bytes, media: str, code: int) -> None:
    answer = await service.send("POST", "widgets", body, {"Content-Type": media})
    assert (answer.status, orjson.loads(answer.body)["code"]) == (code, code)


async def test_bodies_that_are_too_large(service: Service) -> None:
    answer = await service.send("POST", "widgets", BytesIO(b" " * (LIMIT + 1)), {"Content-Type": "application/json"})
    assert (answer.status, orjson.loads(answer.body)["reason"]) == (413, "RequestEntityTooLarge")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 65536 + 1):
            yield b" " * 65536

    answer = await service.send("POST", "widgets", pieces(), {"Content-Type": "application/json"})
    assert (answer.status, orjson.loads(answer.body)["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("query", ["dryRun=Some", "fieldValidation=Maybe", "fieldManager=" + "x" * 129, "fieldManager=%01"])
async def test_options_that_are_refused(service: Service, query: str) -> None:
    status, found = await service.ask("POST", f"widgets?{query}", widget("a"))
    assert (status, found["reason"], found["details"]["kind"]) == (422, "Invalid", "CreateOptions")


async def test_unknown_and_doubled_fields(service: Service) -> None:
    body = b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":2,"size":3,"frob":1},"status":{"x":1}}'
    strict = await service.send("POST", "widgets?fieldValidation=Strict", body, {"Content-Type": "application/json"})
    assert strict.status == 400
    assert orjson.loads(strict.body)["message"] == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
        'duplicate field "spec.size", unknown field "spec.frob", unknown field "status.x"'
    )
    warned = await service.send("POST", "widgets", body, {"Content-Type": "application/json"})
    assert warned.status == 201
    assert warned.headers.getall("Warning") == [
        '299 - "duplicate field \\"spec.size\\""',
        '299 - "unknown field \\"spec.frob\\""',
        '299 - "unknown field \\"status.x\\""',
    ]
    assert orjson.loads(warned.body)["spec"] == {"size": 3, "mode": "slow"}
    ignored = await service.send(
        "POST", "widgets?fieldValidation=Ignore", body.replace(b'"a"', b'"b"'), {"Content-Type": "application/json"}
    )
    assert ignored.status == 201
    assert "Warning" not in ignored.headers


async def test_replace(service: Service) -> None:
    made = await service.make("a")
    status, found = await service.ask("PUT", "widgets/a", {**made, "spec": {"size": 5}})
    assert (status, found["spec"], found["metadata"]["generation"]) == (200, {"size": 5, "mode": "slow"}, 2)
    status, found = await service.ask("PUT", "widgets/a", {**made, "spec": {"size": 6}})
    assert (status, found["reason"]) == (409, "Conflict")
    del made["metadata"]["resourceVersion"]
    status, found = await service.ask("PUT", "widgets/a", made)
    assert (status, found["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")
    status, found = await service.ask("PUT", "widgets/b", made)
    assert (status, found["message"]) == (400, "the name of the object (a) does not match the name on the URL (b)")
    assert (await service.ask("PUT", "widgets/b", widget("b")))[0] == 404
    assert (await service.ask("PUT", "widgets/a", {**widget("a"), "metadata": {}}))[0] == 400


async def test_status_is_apart_both_ways(service: Service) -> None:
    made = await service.make("a")
    status, found = await service.ask("PUT", "widgets/a/status", {**made, "spec": {"size": 5}, "status": {"phase": "Good"}})
    assert (status, found["spec"]["size"], found["status"]) == (200, 1, {"phase": "Good"})
    assert found["metadata"]["generation"] == 1
    status, found = await service.ask("PATCH", "widgets/a", {"status": {"phase": "Bad"}, "spec": {"size": 2}}, headers=MERGE)
    assert (found["spec"]["size"], found["status"]) == (2, {"phase": "Good"})
    status, found = await service.ask("PATCH", "widgets/a/status", {"status": {"phase": "Bad"}}, headers=MERGE)
    assert (status, found["status"]) == (200, {"phase": "Bad"})


async def test_merge_patch(service: Service) -> None:
    made = await service.make("a", labels={"x": "1", "y": "2"})
    status, found = await service.ask("PATCH", "widgets/a", {"metadata": {"labels": {"x": None, "z": "3"}}}, headers=MERGE)
    assert (status, found["metadata"]["labels"]) == (200, {"y": "2", "z": "3"})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": None}}
    status, found = await service.ask("PATCH", "widgets/a", stale, headers=MERGE)
    assert (status, found["reason"]) == (409, "Conflict")
    assert (await service.ask("PATCH", "widgets/b", {}, headers=MERGE))[0] == 404
    assert (await service.ask("PATCH", "widgets/a", [], headers=MERGE))[0] == 400
    assert (await service.ask("PATCH", "widgets/a", {"kind": "Rack"}, headers=MERGE))[0] == 422
    assert (await service.ask("PATCH", "widgets/a", {"metadata": None}, headers=MERGE))[0] == 400
    assert (await service.ask("PATCH", "widgets/a", {"metadata": {"name": "b"}}, headers=MERGE))[0] == 400


async def test_a_patch_that_changes_nothing_keeps_the_version(service: Service) -> None:
    made = await service.make("a")
    assert (await service.ask("PATCH", "widgets/a", {"spec": {"size": 1}}, headers=MERGE)) == (200, made)


async def test_patches_at_once_are_all_applied(service: Service) -> None:
    await service.make("a")
    patches = [service.ask("PATCH", "widgets/a", {"spec": {"settings": {f"k{n}": "v"}}}, headers=MERGE) for n in range(8)]
    assert {status for status, _ in await asyncio.gather(*patches)} == {200}
    assert len((await service.ask("GET", "widgets/a"))[1]["spec"]["settings"]) == 8


async def test_json_patch(service: Service) -> None:
    await service.make("a")
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "replace", "path": "/spec/size", "value": 4},
    ]
    status, found = await service.ask("PATCH", "widgets/a", operations, headers=JSON_PATCH)
    assert (status, found["spec"]["size"]) == (200, 4)
    status, found = await service.ask("PATCH", "widgets/a", operations, headers=JSON_PATCH)
    assert (status, found["reason"]) == (422, "Invalid")
    status, _ = await service.ask("PATCH", "widgets/a", [{"op": "frob"}], headers=JSON_PATCH)
    assert status == 422
    status, _ = await service.ask("PATCH", "widgets/a", [{"op": "add", "path": "", "value": 1}], headers=JSON_PATCH)
    assert status == 422


@pytest.mark.parametrize("media", ["application/strategic-merge-patch+json", "application/json", ""])
async def test_other_patches_are_not_supported(service: Service, media: str) -> None:
    await service.make("a")
    answer = await service.send("PATCH", "widgets/a", b"{}", {"Content-Type": media})
    assert answer.status == 415
    assert "application/merge-patch+json" in orjson.loads(answer.body)["message"]


async def test_a_strict_patch(service: Service) -> None:
    await service.make("a")
    answer = await service.send("PATCH", "widgets/a?fieldValidation=Strict", b'{"spec":{"frob":1,"size":2,"size":3}}', MERGE)
    found = orjson.loads(answer.body)
    assert (answer.status, found["reason"], found["details"]["causes"][0]["field"]) == (422, "Invalid", "patch")
    assert 'strict decoding error: duplicate field "spec.size", unknown field "spec.frob"' in found["message"]
    warned = await service.send("PATCH", "widgets/a", b'{"spec":{"frob":1}}', MERGE)
    assert (warned.status, warned.headers["Warning"]) == (200, '299 - "unknown field \\"spec.frob\\""')


async def test_delete(service: Service) -> None:
    made = await service.make("a")
    status, found = await service.ask("DELETE", "widgets/a", {"propagationPolicy": "Background"})
    assert status == 200
    assert found == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "widgets", "uid": made["metadata"]["uid"], "group": "example.com"},
    }
    assert (await service.ask("DELETE", "widgets/a"))[0] == 404


async def test_finalizers_keep_it(service: Service) -> None:
    await service.make("a", finalizers=["example.com/f"])
    status, found = await service.ask("DELETE", "widgets/a")
    assert (status, found["kind"], found["metadata"]["deletionGracePeriodSeconds"]) == (200, "Widget", 0)
    assert (await service.ask("DELETE", "widgets/a", {"orphanDependents": False}))[0] == 202
    status, found = await service.ask("PATCH", "widgets/a", {"metadata": {"finalizers": None}}, headers=MERGE)
    assert status == 200
    assert (await service.ask("GET", "widgets/a"))[0] == 404


async def test_delete_from_the_query(service: Service) -> None:
    await service.make("a")
    status, found = await service.ask("DELETE", "widgets/a", query={"propagationPolicy": "Foreground"})
    assert (status, found["metadata"]["finalizers"]) == (200, ["foregroundDeletion"])
    await service.make("b")
    status, found = await service.ask("DELETE", "widgets/b", query={"orphanDependents": "true"})
    assert (status, found["metadata"]["finalizers"]) == (200, ["orphan"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"propagationPolicy": "Sideways"}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"dryRun": ["Some"]}, 422),
        ({"dryRun": "All"}, 400),
        ({"preconditions": {"uid": "x"}}, 409),
        ({"preconditions": {"resourceVersion": "1"}}, 409),
        ({"preconditions": []}, 400),
        ({"preconditions": [1]}, 400),
        ({"preconditions": {"uid": 1}}, 400),
        ({"kind": "Widget"}, 400),
        ([], 400),
    ],
)
async def test_delete_options(service: Service, options: Any, code: int) -> None:
    await service.make("a")
    assert (await service.ask("DELETE", "widgets/a", options))[0] == code


async def test_deletecollection(service: Service) -> None:
    for number in range(12):
        await service.make(f"w{number}", labels={"odd": str(number % 2)})
    await service.make("elsewhere", namespace="other", labels={"odd": "1"})
    status, found = await service.ask("DELETE", "widgets", query={"labelSelector": "odd=1"})
    assert (status, found["kind"], len(found["items"])) == (200, "WidgetList", 6)
    _, left = await service.ask("GET", f"{PREFIX}/widgets")
    assert len(left["items"]) == 7
    status, found = await service.ask("DELETE", "widgets", {"preconditions": {"uid": "x"}})
    assert (status, found["reason"]) == (409, "Conflict")


async def test_actions(service: Service) -> None:
    await service.make("a")
    status, found = await service.ask("POST", "widgets/a/binding", {"target": "x"})
    assert (status, found["message"]) == (201, "binding x")
    assert (await service.ask("POST", "widgets/b/binding", {}))[0] == 404
    assert (await service.ask("POST", "widgets/a/binding", []))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", f"{PREFIX}/frobs", 404),
        ("GET", "/apis/example.com/v2/widgets", 404),
        ("GET", "widgets/a/frob", 404),
        ("GET", "widgets/a/status/x", 404),
        ("GET", "widgets/a/binding", 405),
        ("PUT", "widgets/a/binding", 405),
        ("POST", "widgets/a", 405),
        ("POST", "widgets/a/status", 405),
        ("PUT", "widgets", 405),
        ("PATCH", "widgets", 405),
        ("POST", f"{PREFIX}/widgets", 405),
        ("DELETE", f"{PREFIX}/widgets", 405),
        ("GET", f"{PREFIX}/widgets/a", 404),
        ("GET", f"{PREFIX}/namespaces/ns/racks", 404),
        ("GET", f"{PREFIX}/namespaces/ns/racks/a", 404),
        ("DELETE", f"{PREFIX}/racks/a", 405),
        ("DELETE", f"{PREFIX}/racks", 405),
        ("OPTIONS", "widgets/a", 405),
        ("POST", "/apis", 405),
        ("GET", "/frob", 404),
        ("GET", "/apis//example.com", 400),
    ],
)
async def test_paths_and_methods_that_lead_nowhere(service: Service, method: str, path: str, code: int) -> None:
    answer = await service.send(method, path)
    assert (answer.status, orjson.loads(answer.body)["code"]) == (code, code)


async def test_head_reads_as_get_without_the_body(service: Service) -> None:
    await service.make("a")
    for path, code in (("widgets/a", 200), ("widgets", 200), ("widgets/b", 404)):
        answer = await service.send("HEAD", path)
        assert (answer.status, answer.body) == (code, b""), path


async def test_what_metadata_is_refused_and_warned_of(service: Service) -> None:
    for meta, code in (
        ({"resourceVersion": "5"}, 400),
        ({"labels": {"a": 1}}, 400),
        ({"creationTimestamp": "yesterday"}, 400),
        ({"finalizers": ["orphan", "foregroundDeletion"]}, 422),
    ):
        assert (await service.ask("POST", "widgets", {**widget("a"), "metadata": {"name": "a", **meta}}))[0] == code, meta
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}
    sent = {"name": "a", "labels": {}, "finalizers": ["hold"], "ownerReferences": [owner, owner]}
    body = orjson.dumps({**widget("a"), "metadata": sent})
    answer = await service.send("POST", "widgets", body, headers={"Content-Type": "application/json"})
    assert answer.status == 201, answer.body
    made = orjson.loads(answer.body)["metadata"]
    assert (answer.status, made["ownerReferences"], "labels" in made) == (201, [owner], False)
    warned = [value for name, value in answer.headers.items() if name == "Warning"]
    assert len(warned) == 2
    assert any("hold" in text for text in warned)


async def test_a_dry_run_shows_no_version(service: Service) -> None:
    status, found = await service.ask("POST", "widgets", widget("a"), query={"dryRun": "All"})
    assert (status, "resourceVersion" in found["metadata"]) == (201, False)


async def test_null_brings_the_default(service: Service) -> None:
    status, found = await service.ask("POST", "widgets", {**widget("a"), "spec": {"size": None}})
    assert (status, found["spec"]["size"]) == (201, 1)
    status, found = await service.ask("POST", "widgets", {**widget("b"), "spec": {"parts": [{"name": None}]}})
    assert status == 422


async def test_an_integer_may_be_written_as_a_float(service: Service) -> None:
    status, found = await service.ask("POST", "widgets", {**widget("a"), "spec": {"size": 2.0}})
    assert (status, found["spec"]["size"]) == (201, 2)


async def test_an_object_does_not_grow_beyond_what_one_write_may_look_at(service: Service) -> None:
    await service.make("a")
    codes = []
    for part in range(4):
        more = {"spec": {"settings": {f"k{part}x{number}": "v" for number in range(5000)}}}
        answer = await service.send("PATCH", "widgets/a", orjson.dumps(more), MERGE)
        codes.append(answer.status)
    assert codes == [200, 413, 413, 413]
    status, _ = await service.ask("PATCH", "widgets/a", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert status == 200


@pytest.mark.parametrize("field", ["name", "generateName"])
async def test_a_long_name_is_quoted_in_part(service: Service, field: str) -> None:
    body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {field: "a." * 100_000 + "!"}}
    status, found = await service.ask("POST", "widgets", body)
    assert (status, len(str(found)) < 8000) == (422, True)


async def test_conflicts_and_complaints_are_named_up_to_a_number(service: Service) -> None:
    applied = {"Content-Type": "application/apply-patch+yaml"}
    for manager, value in (("x", "v"), ("y", "w")):
        wanted = widget("a", labels={f"k{number}": value for number in range(200)})
        answer = await service.send("PATCH", f"widgets/a?fieldManager={manager}", orjson.dumps(wanted), applied)
    found = orjson.loads(answer.body)
    assert (answer.status, len(found["details"]["causes"])) == (409, 50)
    assert "more than 50 conflicts" in found["message"]
    status, found = await service.ask("POST", "widgets", {**widget("b"), "spec": {"settings": {str(number): 1 for number in range(200)}}})
    assert (status, len(found["details"]["causes"])) == (422, 50)


async def test_an_object_has_a_megabyte_at_most(service: Service) -> None:
    await service.make("a")
    codes = []
    for part in ("b", "c"):
        status, _ = await service.ask("PATCH", "widgets/a", {"spec": {"settings": {part: "v" * 600_000}}}, headers=MERGE)
        codes.append(status)
    assert codes == [200, 413]
    status, _ = await service.ask("PATCH", "widgets/a", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert status == 200


async def test_what_a_later_version_stored_is_kept_until_its_part_is_written(service: Service) -> None:
    """A downgrade relies on this: labels and reports do not drop unknown fields of spec."""
    made = await service.make("a")
    (entry,) = service.widgets.collection.range("")
    later = {**made, "spec": {**made["spec"], "new": {"in": "spec"}}, "status": {"phase": "x", "novel": 1}}
    await service.cache.commit([Put(entry.key, encode_stored(service.widgets.resource, later))])
    for body, subresource, spec, status in (
        ({"metadata": {"labels": {"a": "b"}}}, "", {"size": 1, "new": {"in": "spec"}}, {"phase": "x", "novel": 1}),
        ({"status": {"phase": "y"}}, "/status", {"size": 1, "new": {"in": "spec"}}, {"phase": "y"}),
        ({"spec": {"size": 2}}, "", {"size": 2}, {"phase": "y"}),
    ):
        code, found = await service.ask("PATCH", f"widgets/a{subresource}", body, headers=MERGE)
        assert code == 200, found
        _, found = await service.ask("GET", "widgets/a")
        assert ({k: v for k, v in found["spec"].items() if k in ("size", "new")}, found["status"]) == (spec, status)
    replaced = {**later, "metadata": {**found["metadata"], "labels": {"a": "c"}}, "spec": found["spec"]}
    code, found = await service.ask("PUT", "widgets/a", replaced)
    assert (code, found["metadata"]["labels"]) == (200, {"a": "c"})
