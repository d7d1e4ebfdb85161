"""GET one object: bytes, forms and freshness."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml

from apiserver.handlers.request.negotiation import JSON
from apiserver.handlers.timings import Timings
from tests.unit.apiserver.handlers.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.apiserver.handlers.conftest import Service

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}


async def test_the_stored_bytes_are_served(service: Service) -> None:
    made = await service.make("a")
    response = await service.send("GET", "widgets/a")
    assert response.body == service.widgets.get("ns", "a").json
    assert orjson.loads(response.body) == made
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-cache, private"


async def test_yaml_and_pretty(service: Service) -> None:
    made = await service.make("a")
    response = await service.send("GET", "widgets/a", headers={"Accept": "application/yaml"})
    assert response.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(response.body)["spec"] == made["spec"]
    pretty = (await service.send("GET", "widgets/a?pretty=true")).body
    assert pretty.startswith(b"{\n  ")
    assert orjson.loads(pretty) == made


async def test_metadata_only(service: Service) -> None:
    made = await service.make("a")
    status, found = await service.ask("GET", "widgets/a", headers=PARTIAL)
    assert status == 200
    assert found == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]}
    status, refused = await service.ask("GET", "widgets/a", headers={"Accept": PARTIAL["Accept"].replace("Metadata;", "MetadataList;")})
    assert (status, refused["reason"]) == (406, "NotAcceptable")


async def test_a_table_of_one_row(service: Service) -> None:
    made = await service.make("a", size=3)
    _, found = await service.ask("GET", "widgets/a", headers=TABLE)
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Size", "Ready", "Phase", "Age"]
    (row,) = found["rows"]
    assert row["cells"][:4] == ["a", 3, None, None]
    assert row["cells"][4].endswith("s")
    assert row["object"]["metadata"] == made["metadata"]


async def test_missing_objects(service: Service) -> None:
    status, found = await service.ask("GET", "widgets/a")
    assert status == 404
    assert found == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'widgets.example.com "a" not found',
        "reason": "NotFound",
        "details": {"name": "a", "group": "example.com", "kind": "widgets"},
        "code": 404,
    }


async def test_errors_come_as_yaml_too(service: Service) -> None:
    response = await service.send("GET", "widgets/a", headers={"Accept": "application/yaml"})
    assert response.status == 404
    assert yaml.safe_load(response.body)["reason"] == "NotFound"


async def test_a_version_that_has_not_come_yet_is_waited_for(service: Service) -> None:
    made = await service.make("a")
    following = str(int(made["metadata"]["resourceVersion"]) + 1)
    reading = asyncio.create_task(service.ask("GET", "widgets/a", query={"resourceVersion": following}))
    await service.make("b")
    status, _ = await reading
    assert status == 200


async def test_a_version_from_another_life_is_refused(service: Service) -> None:
    service.api.watches.timings = Timings(future=0.01)
    await service.make("a")
    async with service.session.get(f"{PREFIX}/namespaces/ns/widgets/a", params={"resourceVersion": "999"}) as response:
        found = await response.json()
        assert response.headers["Retry-After"] == "1"
    assert (found["code"], found["reason"]) == (504, "Timeout")
    assert found["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert (await service.ask("GET", "widgets/a", query={"resourceVersion": "x"}))[0] == 400


async def test_the_status_subresource_reads_as_the_object(service: Service) -> None:
    made = await service.make("a")
    assert await service.ask("GET", "widgets/a/status") == (200, made)


@pytest.mark.parametrize("form", [JSON, "application/yaml", f"{JSON};pretty=1"])
async def test_a_large_object_goes_out_compressed(service: Service, form: str) -> None:
    await service.make("large", annotations={"note": "0123456789" * 14_000})
    await service.make("small")
    headers = {"Accept": form, "Accept-Encoding": "gzip"}
    plain = await service.send("GET", "widgets/large", headers={**headers, "Accept-Encoding": "identity"})
    compressed = await service.send("GET", "widgets/large", headers=headers)
    assert "Content-Encoding" not in plain.headers
    assert (compressed.headers["Content-Encoding"], compressed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert int(compressed.headers["Content-Length"]) < len(plain.body) // 10
    assert compressed.body == plain.body, "the client has unpacked it"
    assert "Content-Encoding" not in (await service.send("GET", "widgets/small", headers=headers)).headers
    merge = {**headers, "Content-Type": "application/merge-patch+json"}
    patched = await service.send("PATCH", "widgets/large", b'{"spec": {"size": 3}}', merge)
    assert (patched.status, patched.headers["Content-Encoding"]) == (200, "gzip")
