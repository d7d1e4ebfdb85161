"""Check that every text of an object that tenants write has a limit, and that what was stored
before there was one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from apiserver.apis.base import Model
from apiserver.apis.meta import OwnerReference
from apiserver.apis.status import ApiError
from apiserver.apis.workload import WorkloadSpec
from apiserver.registry.generic.entry import encode_stored
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = "x" * 5000
BESIDE: dict[str, dict[str, Any]] = {
    "image": IMAGE,
    "consumerRef": CONSUMER,
    "userData": {"name": "boot"},
    "metaData": {"name": "boot"},
    "networkData": {"name": "boot"},
}
"""Members that an object needs besides the text."""


def texts(model: type[Model], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all texts of the model, and of the keys of its maps."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        parts = list(_parts(field.annotation))
        for part in parts:
            if isinstance(part, type) and issubclass(part, Model):
                yield from texts(part, here)
        if dict in [getattr(part, "__origin__", None) for part in parts]:
            yield (*here, "KEY")
        elif str in parts:
            yield here


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def made(path: tuple[str, ...], text: str) -> dict[str, Any]:
    """Return a spec with the text at the path."""
    value: Any = text
    for field in reversed(path):
        if field == "KEY":
            value = {text[:900]: "1"}
        elif field == "matchExpressions":
            value = {field: [{"key": "a", "operator": "In", "values": ["a"], **value}]}
        elif field == "values":
            value = {field: [text]}
        else:
            value = {field: value}
    first = path[0]
    return {first: {**BESIDE[first], **value[first]} if first in BESIDE else value[first]}


PATHS = sorted(set(texts(WorkloadSpec)))


def test_there_are_texts_to_look_at() -> None:
    assert {("userData", "name"), ("consumerRef", "uid"), ("image", "checksum"), ("hostSelector", "matchLabels", "KEY")} <= {*PATHS}


@pytest.mark.parametrize("path", PATHS, ids=".".join)
async def test_a_long_text_is_refused(registries: Registries, path: tuple[str, ...]) -> None:
    spec = made(path, LONG)
    with pytest.raises(ApiError) as refused:
        await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"className": "metal", **spec}})
    assert refused.value.code == 422
    assert path[0] in str(refused.value.details)


@pytest.mark.parametrize("field", ["apiVersion", "kind", "name", "uid"])
async def test_an_owner_with_a_long_text_is_refused(registries: Registries, field: str) -> None:
    assert set(OwnerReference.model_fields) >= {"kind", "name", "uid"}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", field: LONG}
    with pytest.raises(ApiError, match="Too long"):
        await registries.workloads.create(
            CONTEXT, "tenant-a", {"metadata": {"name": "w", "ownerReferences": [owner]}, "spec": {"className": "metal", "image": IMAGE}}
        )


async def test_what_an_earlier_version_stored_stays_until_it_is_changed(registries: Registries) -> None:
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"className": "metal", "image": IMAGE}})
    entry = registries.workloads.get("tenant-a", "w")
    owner = {"apiVersion": "v1", "kind": "Pod", "name": LONG, "uid": "u"}
    stored = entry.object()
    stored = {
        **stored,
        "metadata": {**stored["metadata"], "ownerReferences": [owner]},
        "spec": {**stored["spec"], "userData": {"name": LONG}, "hostSelector": {"matchLabels": {LONG[:900]: "a"}}},
    }
    await registries.workloads.cache.commit([Put(entry.key, encode_stored(registries.workloads.resource, stored), entry.revision)])

    async def write(meta: dict[str, Any], **spec: Any) -> dict[str, Any]:
        changed = await registries.workloads.update(
            CONTEXT, "tenant-a", "w", lambda old: {**old, "metadata": {**old["metadata"], **meta}, "spec": {**old["spec"], **spec}}
        )
        return changed.object()

    other = {**owner, "uid": "v", "name": "short"}
    after = await write({"ownerReferences": [owner, other]}, online=False)
    assert after["spec"]["userData"] == {"name": LONG}
    assert len(after["metadata"]["ownerReferences"]) == 2
    for meta, spec in (
        ({}, {"userData": {"name": LONG + "y"}}),
        ({}, {"metaData": {"name": LONG}}),
        ({}, {"hostSelector": {"matchLabels": {"y" * 900: "a"}}}),
        ({"ownerReferences": [{**owner, "uid": "w"}]}, {}),
    ):
        with pytest.raises(ApiError, match="Too long"):
            await write(meta, **spec)
    assert (await write({}, userData={"name": "short"}))["spec"]["userData"] == {"name": "short"}


async def test_a_long_text_of_a_view_is_refused(registries: Registries) -> None:
    await registries.add_host()
    with pytest.raises(ApiError, match="Too long"):
        await registries.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "uid": LONG})
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    with pytest.raises(ApiError, match="Too long"):
        await registries.patch_view("tenant-a", "node-0", userData={"name": LONG, "namespace": "tenant-a"})
