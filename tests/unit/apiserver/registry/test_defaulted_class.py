"""Check that no field manager owns the class that the server chose. A client that leaves it out, by
whatever path, neither removes it nor is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.names import DEFAULT_CLASS_ANNOTATION
from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, UserInfo
from tests.unit.apiserver.registry.conftest import CONTEXT, Registries
from tests.unit.apiserver.registry.generic.test_tracking import by, owners, workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.registry.generic.entry import Entry

CSA, LABELS = "kubectl-client-side-apply", {"app": "web"}


async def add_class(registries: Registries, name: str = "metal", *, default: bool = True) -> None:
    meta = {"name": name, "annotations": {DEFAULT_CLASS_ANNOTATION: "true"} if default else {}}
    await registries.classes.create(CONTEXT, "", {"metadata": meta, "spec": {"provisioner": "metal3.io/baremetalhost"}})


async def put(registries: Registries, obj: dict[str, Any], manager: str = "kubectl-replace") -> Entry:
    """Write the whole object as the client has it, as a PUT does."""

    def change(current: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": current["metadata"]["resourceVersion"]}}

    return await registries.workloads.update(by(manager), "ns", "w", change)


def class_of(entry: Entry) -> str | None:
    found: str | None = entry.object()["spec"].get("className")
    return found


def managers_of_class(entry: Entry) -> list[str]:
    return [who[0] for who, fields in owners(entry.object()).items() if "f:className" in fields.get("f:spec", {})]


def migrated(obj: dict[str, Any], manager: str, operation: str = "Apply") -> dict[str, Any]:
    """Return the object as csaupgrade changes it, by the managedFields of servers that credited the
    default to its creator."""
    fields = [{**e, "manager": manager, "operation": operation} for e in obj["metadata"]["managedFields"] if e["manager"] == CSA]
    fields[0]["fieldsV1"] = {"f:spec": {**fields[0]["fieldsV1"].get("f:spec", {}), "f:className": {}}}
    return {**obj, "metadata": {**obj["metadata"], "managedFields": fields}}


@pytest.mark.parametrize("sent", [{}, {"className": ""}, {"className": None}])
async def test_the_default_class_is_filled_and_has_no_manager(registries: Registries, sent: dict[str, Any]) -> None:
    await add_class(registries)
    created = await registries.workloads.create(by(CSA), "ns", workload(**sent))
    assert (class_of(created), managers_of_class(created)) == ("metal", [])


async def test_a_class_that_was_asked_for_belongs_to_its_client(registries: Registries) -> None:
    await add_class(registries)
    created = await registries.workloads.create(by(CSA), "ns", workload(className="metal"))
    assert managers_of_class(created) == [CSA]


@pytest.mark.parametrize("manager", ["kubectl", "argocd-controller", "helm"])
@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("asked", ["metal", None])
async def test_client_side_apply_and_then_server_side_apply(registries: Registries, manager: str, force: bool, asked: str | None) -> None:
    """Apply client-side and then server-side, also where an earlier server has credited the default
    to the client."""
    await add_class(registries)
    await registries.workloads.create(by(CSA), "ns", workload(online=True, **({"className": asked} if asked else {})))
    await registries.workloads.update(by(CSA), "ns", "w", lambda obj: migrated(obj, manager))
    revisions = []
    for _ in range(3):
        entry, _ = await registries.workloads.apply(by(manager), "ns", "w", workload(online=True), force=force)
        assert (class_of(entry), managers_of_class(entry)) == ("metal", [])
        revisions.append(entry.revision)
    assert revisions[1] == revisions[2], "nothing is written where nothing changes"


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("sent", [{}, {"className": ""}])
async def test_a_put_without_the_class_keeps_it(registries: Registries, bound: bool, sent: dict[str, Any]) -> None:
    await add_class(registries)
    await registries.workloads.create(by(CSA), "ns", workload(online=True))
    if bound:
        host = await registries.add_host(offers=("ns",))
        await registries.workloads.connect(CONTEXT, "ns", "w", "binding", {"target": {"name": host}})
    replaced = await put(registries, workload(online=False, **sent))
    assert (class_of(replaced), replaced.object()["spec"]["online"]) == ("metal", False)
    again = await put(registries, workload(online=False, **sent))
    assert (again.revision, again.object()["metadata"]["generation"]) == (replaced.revision, replaced.object()["metadata"]["generation"])


def without_class(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "spec": {k: v for k, v in obj["spec"].items() if k != "className"}}


def with_null_class(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "spec": {**obj["spec"], "className": None}}


@pytest.mark.parametrize("change", [without_class, with_null_class])
async def test_a_patch_that_removes_the_class_keeps_it(registries: Registries, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    await add_class(registries)
    created = await registries.workloads.create(by(CSA), "ns", workload(className="metal"))
    patched = await registries.workloads.update(by("ben"), "ns", "w", change)
    assert class_of(patched) == "metal"
    assert patched.object()["metadata"]["generation"] == created.object()["metadata"]["generation"]


async def test_the_class_is_kept_although_another_one_is_the_default_by_now(registries: Registries) -> None:
    await add_class(registries)
    await registries.workloads.create(by(CSA), "ns", workload())
    await add_class(registries, "newer")
    assert class_of(await put(registries, workload(online=False))) == "metal"


@pytest.mark.parametrize("field", ["className", "hostRef", "hostSelector", "requirements", "failureDomain", "placement"])
@pytest.mark.parametrize("sent", ["other", "nothing"])
async def test_what_chose_the_host_stays_and_no_deletion_is_advised(registries: Registries, field: str, sent: str) -> None:
    values: dict[str, tuple[Any, Any]] = {
        "className": ("metal", "other"),
        "hostRef": ({"name": "node-0"}, {"name": "node-1"}),
        "hostSelector": ({"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "c"}}),
        "requirements": ({"cpuCount": 1}, {"cpuCount": 2}),
        "failureDomain": ("a", "b"),
        "placement": ({"failureDomains": {"required": ["a"]}}, {"failureDomains": {"required": ["b"]}}),
    }
    first, second = values[field]
    host = await registries.add_host(offers=("ns",))
    spec: dict[str, Any] = {"className": "metal", field: first}
    await registries.workloads.create(by(CSA), "ns", workload(**spec))
    await registries.workloads.connect(CONTEXT, "ns", "w", "binding", {"target": {"name": host}})
    changed: dict[str, Any] = {"className": "metal"} | ({field: second} if sent == "other" else {})
    wanted = workload(**changed)
    if (field, sent) == ("className", "nothing"):
        assert class_of(await put(registries, workload())) == "metal"
        return
    with pytest.raises(ApiError) as refused:
        await put(registries, wanted)
    assert [cause["field"] for cause in refused.value.details["causes"]] == [f"spec.{field}"]
    assert "delete" not in str(refused.value).lower()


async def test_defaulted_fields_have_no_manager_before_the_first_apply(registries: Registries) -> None:
    await add_class(registries)
    await registries.workloads.create(by(CSA), "ns", {**workload(), "metadata": {"name": "w", "labels": LABELS}})
    await registries.workloads.update(by(CSA), "ns", "w", lambda obj: {**obj, "metadata": {**obj["metadata"], "managedFields": [{}]}})
    applied, _ = await registries.workloads.apply(by("gitops"), "ns", "w", workload(className="metal"), force=False)
    assert managers_of_class(applied) == ["gitops"]
    status = {**workload(), "status": {"phase": "Running"}}
    del status["spec"]
    await registries.workloads.apply(
        Context(UserInfo("c"), field_manager="controller"), "ns", "w", status, force=False, subresource="status"
    )
