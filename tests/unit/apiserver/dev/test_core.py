"""Cover the small core/v1 of dev mode."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from apiserver.apis.core import ConfigMap, Secret
from apiserver.apis.status import ApiError
from apiserver.dev.namespacecontroller import NamespaceController
from apiserver.registry.generic.context import DeleteOptions
from tests.unit.apiserver.dev.conftest import CONTEXT

if TYPE_CHECKING:
    from tests.unit.apiserver.dev.conftest import Registries


def secret(**fields: Any) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "s", "namespace": "home"}, **fields}


def test_string_data_is_merged_and_not_kept() -> None:
    found = Secret.decode({"data": {"a": "MQ==", "b": "Mg=="}, "stringData": {"b": "ü", "c": ""}}).encode()
    assert found["data"] == {"a": "MQ==", "b": base64.b64encode("ü".encode()).decode(), "c": ""}
    assert "stringData" not in found
    assert found["type"] == "Opaque"


@pytest.mark.parametrize("data", [{"a": "not base64!"}, {"a/b": "MQ=="}, {"a": 1}, {"a": "MTIz" * 400_000}])
def test_bad_secrets(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Secret.decode({"data": data})


def test_a_bad_value_is_not_quoted() -> None:
    with pytest.raises(ValidationError) as caught:
        Secret.decode({"data": {"password": "hunter2!"}})
    assert [detail["msg"] for detail in caught.value.errors()] == [
        "Value error, data[password] is not base64: encode it, or put it into stringData as it is"
    ]
    assert all(detail["loc"] == () for detail in caught.value.errors())


def test_a_key_is_in_one_of_a_configmaps_maps() -> None:
    with pytest.raises(ValidationError, match="is in data and in binaryData"):
        ConfigMap.decode({"data": {"a": "1"}, "binaryData": {"a": "MQ=="}})
    assert ConfigMap.decode({"data": {"a": "1"}, "binaryData": {"b": "MQ=="}}).encode()["data"] == {"a": "1"}


async def test_secrets_are_changed_and_guarded(registries: Registries) -> None:
    await registries.namespace("home")
    made = await registries.make(secret(stringData={"a": "1"}))
    assert made["data"] == {"a": "MQ=="}
    registry = registries.core.secrets
    changed = await registry.update(CONTEXT, "home", "s", lambda obj: {**obj, "stringData": {"b": "2"}, "immutable": True})
    assert changed.object()["data"] == {"a": "MQ==", "b": "Mg=="}
    with pytest.raises(ApiError, match="immutable"):
        await registry.update(CONTEXT, "home", "s", lambda obj: {**obj, "data": {}})
    with pytest.raises(ApiError, match="immutable"):
        await registry.update(CONTEXT, "home", "s", lambda obj: {**obj, "type": "other"})


async def test_a_namespace_has_a_phase_and_a_label(registries: Registries) -> None:
    made = await registries.namespace("home")
    assert made["status"]["phase"] == "Active"
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "home"}
    last, gone = await registries.core.namespaces.delete(CONTEXT, "", "home", DeleteOptions())
    assert not gone
    assert last.object()["status"]["phase"] == "Terminating"


async def test_nothing_is_made_where_there_is_no_namespace(registries: Registries) -> None:
    with pytest.raises(ApiError, match='namespaces "home" not found'):
        await registries.make(secret())


async def test_a_deleted_namespace_is_emptied_and_goes(registries: Registries) -> None:
    await registries.namespace("home")
    await registries.namespace("other")
    for name in ("a", "b"):
        await registries.make({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "home"}})
    await registries.make({"kind": "ConfigMap", "metadata": {"name": "stays", "namespace": "other"}})
    controller = asyncio.create_task(_namespace_controller(registries).run())
    try:
        held = {"name": "held", "namespace": "home", "finalizers": ["example.com/hold"]}
        await registries.make({"kind": "ConfigMap", "metadata": held})
        await registries.core.namespaces.delete(CONTEXT, "", "home", DeleteOptions())
        await _until(lambda: len(registries.core.configmaps.collection.range("/registry/core/configmaps/home/")) == 1)
        with pytest.raises(ApiError, match="being terminated"):
            await registries.make(secret())
        assert registries.core.namespaces.find("", "home") is not None
        await registries.core.configmaps.update(
            CONTEXT, "home", "held", lambda obj: {**obj, "metadata": {**obj["metadata"], "finalizers": []}}
        )
        await _until(lambda: registries.core.namespaces.find("", "home") is None)
    finally:
        controller.cancel()
        await asyncio.gather(controller, return_exceptions=True)
    assert registries.core.configmaps.find("other", "stays") is not None


async def test_old_events_are_forgotten(registries: Registries) -> None:
    await registries.namespace("home")
    now = datetime.now(UTC)
    for name, age in (("old", timedelta(hours=2)), ("new", timedelta(minutes=2))):
        stamp = (now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {"kind": "Event", "metadata": {"name": name, "namespace": "home"}, "involvedObject": {"kind": "Workload", "name": "w"}}
        await registries.make({**event, "lastTimestamp": stamp})
    await _namespace_controller(registries).forget_events(now)
    assert [entry.name for entry in registries.core.events.collection.range()] == ["new"]


async def test_real_hosts_refuse_what_bmos_webhook_refuses(registries: Registries) -> None:
    await registries.namespace("home")
    host = {"kind": "BareMetalHost", "metadata": {"name": "h", "namespace": "home"}, "spec": {"bootMACAddress": "00:11:22:33:44:55"}}
    with pytest.raises(ApiError, match="cross-namespace"):
        await registries.make({**host, "spec": {"userData": {"name": "x", "namespace": "elsewhere"}}})
    await registries.make(host)
    with pytest.raises(ApiError, match="bootMACAddress can not be changed"):
        await registries.hosts.update(CONTEXT, "home", "h", lambda obj: {**obj, "spec": {"bootMACAddress": "00:11:22:33:44:66"}})


def _namespace_controller(registries: Registries) -> NamespaceController:
    return NamespaceController(
        registries.cache, registries.core.namespaces, registries.core.events, [*registries.core.registries, registries.hosts]
    )


async def _until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - anything may make it true
            await asyncio.sleep(0.01)
