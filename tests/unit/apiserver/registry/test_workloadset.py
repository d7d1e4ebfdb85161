"""Check the rules of WorkloadSets, and their subresource scale over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from aiohttp.test_utils import RawTestServer

from apiserver.apis.status import ApiError
from apiserver.apis.workloadset import MOST_REPLICAS
from apiserver.handlers.dispatch import Api
from apiserver.handlers.request.call import Call
from apiserver.handlers.response.errors import render
from apiserver.registry.generic.context import Context, UserInfo
from tests.unit.apiserver.registry.conftest import CONTEXT, IMAGE, Registries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from apiserver.registry.generic.attributes import Attributes

SETS = "/apis/workload.metal3.io/v1alpha1/namespaces/tenant-a/workloadsets"
MERGE = {"Content-Type": "application/merge-patch+json"}
CLASS = {
    "apiVersion": "workload.metal3.io/v1alpha1",
    "kind": "WorkloadClass",
    "metadata": {"name": "metal", "annotations": {"workloadclass.workload.metal3.io/is-default-class": "true"}},
    "spec": {"provisioner": "metal3.io/baremetalhost", "images": {"allow": ["images.example"]}, "lease": {"maxDurationSeconds": 3600}},
}


def made(name: str = "db", *, template: dict[str, Any] | None = None, labels: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a set as a client sends it."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadSet",
        "metadata": {"name": name, "namespace": "tenant-a"},
        "spec": {
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": labels or {"app": "db"}}, "spec": template if template is not None else {"image": IMAGE}},
            **spec,
        },
    }


async def create(registries: Registries, obj: dict[str, Any]) -> dict[str, Any]:
    return (await registries.catalog.sets.create(CONTEXT, "tenant-a", obj)).object()


async def refused(registries: Registries, obj: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields and messages of the causes."""
    with pytest.raises(ApiError) as caught:
        await create(registries, obj)
    assert caught.value.code == 422
    return [(cause["field"], cause["message"]) for cause in caught.value.details["causes"]]


async def test_a_new_set_has_one_replica_and_was_seen_by_no_controller(registries: Registries) -> None:
    obj = await create(registries, made())
    assert obj["spec"]["replicas"] == 1
    assert obj["status"] == {"observedGeneration": 0, "replicas": 0}, "kstatus takes an object without these for ready"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"replicas": -1}, "spec.replicas"),
        ({"replicas": MOST_REPLICAS + 1}, "spec.replicas"),
        ({"replicas": 2, "minAvailable": 3}, "spec.minAvailable"),
        ({"minAvailable": 0}, "spec.minAvailable"),
        ({"updateStrategy": {"type": "Sometimes"}}, "spec.updateStrategy.type"),
        (
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}},
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
        ),
        ({"selector": {}}, "spec.selector"),
        ({"selector": {"matchLabels": {"app": "web"}}}, "spec.template.metadata.labels"),
        ({"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}, "spec.selector.matchExpressions"),
        ({"selector": {"matchExpressions": [{"key": "not a key", "operator": "DoesNotExist"}]}}, "spec.selector.matchExpressions"),
        ({"labels": {"app": "db", "b@d": "x"}}, "spec.template.metadata.labels"),
        ({"template": {"userData": {"name": "boot", "namespace": "tenant-b"}}}, "spec.template.spec.userData.namespace"),
        ({"template": {"image": {**IMAGE, "url": "http://elsewhere.example/os"}}}, "spec.template.spec.image.url"),
        ({"template": {"image": {"url": IMAGE["url"]}}}, "spec.template.spec.image.checksum"),
        ({"template": {"reclaimPolicy": "Retain"}}, "spec.template.spec.reclaimPolicy"),
        ({"template": {"hostRef": {"name": "node-0"}}}, "spec.template.spec.hostRef"),
        ({"template": {"customDeploy": {"method": "x" * 300}}}, "spec.template.spec.customDeploy.method"),
        ({"minAvailable": 1, "template": {"gang": {"name": "all", "minAvailable": 1}}}, "spec.template.spec.gang"),
        ({"template": {"image": IMAGE, "customDeploy": {"method": "x"}}}, "spec.template.spec"),
        ({"template": {"lease": {"durationSeconds": 3601}}}, "spec.template.spec.lease.durationSeconds"),
        ({"labels": {"app": "db", "workload.metal3.io/template-revision": "x"}}, "spec.template.metadata.labels"),
        ({"labels": {"app": "db", "workload.metal3.io/claimed-through": "x"}}, "spec.template.metadata.labels"),
    ],
)
async def test_what_no_workload_could_be_is_refused_as_a_template(registries: Registries, spec: dict[str, Any], field: str) -> None:
    await registries.classes.create(CONTEXT, "", CLASS)
    causes = await refused(registries, made(**spec))
    assert field in [found for found, _ in causes], causes


@pytest.mark.parametrize("name", ["a.b", "x" * 60])
async def test_the_names_of_members_are_labels(registries: Registries, name: str) -> None:
    assert [field for field, _ in await refused(registries, made(name))] == ["metadata.name"]


async def test_the_selector_is_fixed_and_the_template_is_not(registries: Registries) -> None:
    await create(registries, made())

    async def change(**spec: Any) -> dict[str, Any]:
        return (
            await registries.catalog.sets.update(CONTEXT, "tenant-a", "db", lambda old: {**old, "spec": {**old["spec"], **spec}})
        ).object()

    both = {"app": "db", "tier": "x"}
    template = {"metadata": {"labels": both}, "spec": {}}
    with pytest.raises(ApiError, match="immutable"):
        await change(selector={"matchLabels": both}, template=template)
    assert (await change(template=template))["metadata"]["generation"] == 2


async def test_a_template_that_a_class_allows_no_more_stays_accepted(registries: Registries) -> None:
    await create(registries, made(replicas=2))
    await registries.classes.create(CONTEXT, "", {**CLASS, "spec": {**CLASS["spec"], "images": {"allow": ["none.example"]}}})  # type: ignore[dict-item] # CLASS is a dict of anything
    scaled = await registries.catalog.sets.update(CONTEXT, "tenant-a", "db", lambda old: {**old, "spec": {**old["spec"], "replicas": 3}})
    assert scaled.object()["spec"]["replicas"] == 3


async def test_a_template_is_small_because_every_member_repeats_it(registries: Registries) -> None:
    large = {"template": {"requirements": {"resources": {f"r{n}": 1 for n in range(64)}}}}
    await create(registries, made("small", **large))
    obj = made("large")
    obj["spec"]["template"]["metadata"]["annotations"] = {"note": "x" * 70_000}
    with pytest.raises(ApiError) as caught:
        await create(registries, obj)
    assert caught.value.code == 413


async def test_a_change_of_the_template_warns_where_nothing_is_installed(registries: Registries) -> None:
    await create(registries, made())
    await registries.catalog.sets.update(CONTEXT, "tenant-a", "db", lambda old: {**old, "status": {"replicas": 1}}, subresource="status")

    async def warnings(**spec: Any) -> list[str]:
        context = Context(UserInfo("somebody"))
        await registries.catalog.sets.update(context, "tenant-a", "db", lambda old: {**old, "spec": {**old["spec"], **spec}})
        return context.warnings

    other = made(template={"image": {**IMAGE, "url": "http://images.example/2"}})["spec"]["template"]
    (said,) = await warnings(template=other)
    assert "RollingUpdate wipes" in said
    assert await warnings(template=made()["spec"]["template"], updateStrategy={"type": "RollingUpdate"}) == []
    assert await warnings(replicas=2) == []


class Served:
    """The kinds over HTTP."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        async with self.session.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def served(registries: Registries) -> AsyncIterator[Served]:
    api = Api(registries.catalog.registries)

    async def serve(http: web.BaseRequest) -> web.StreamResponse:
        call = Call(http)
        try:
            call.parse()
            return await api.handle(call)
        except ApiError as error:
            return render(error, call)

    server = RawTestServer(serve)
    await server.start_server()
    async with ClientSession(base_url=server.make_url("/"), timeout=ClientTimeout(total=60)) as session:
        yield Served(session)
    await server.close()


async def test_scale_is_read_and_written(registries: Registries, served: Served) -> None:
    await create(registries, made(replicas=2))
    status, scale = await served.ask("GET", f"{SETS}/db/scale")
    assert status == 200
    assert (scale["apiVersion"], scale["kind"], scale["spec"]) == ("autoscaling/v1", "Scale", {"replicas": 2})
    assert scale["status"] == {"replicas": 0, "selector": "app=db"}
    scale["spec"]["replicas"] = 5
    status, written = await served.ask("PUT", f"{SETS}/db/scale", scale)
    assert (status, written["spec"]["replicas"]) == (200, 5)
    status, stale = await served.ask("PUT", f"{SETS}/db/scale", {**scale, "spec": {"replicas": 6}})
    assert (status, stale["reason"]) == (409, "Conflict")
    status, patched = await served.ask("PATCH", f"{SETS}/db/scale", {"spec": {"replicas": 3}}, MERGE)
    assert (status, patched["spec"]["replicas"]) == (200, 3)
    _, obj = await served.ask("GET", f"{SETS}/db")
    assert obj["spec"]["replicas"] == 3
    assert obj["metadata"]["generation"] == 3
    assert [(one["subresource"], one["fieldsV1"]) for one in obj["metadata"]["managedFields"] if "subresource" in one] == [
        ("scale", {"f:spec": {"f:replicas": {}}})
    ]


async def test_scale_is_applied_and_belongs_to_its_manager(registries: Registries, served: Served) -> None:
    await create(registries, made(replicas=2))
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "db"}, "spec": {"replicas": 4}}
    apply = {"Content-Type": "application/apply-patch+yaml"}
    status, scale = await served.ask("PATCH", f"{SETS}/db/scale?fieldManager=hpa&force=true", body, apply)
    assert (status, scale["kind"], scale["spec"]["replicas"]) == (200, "Scale", 4)
    status, why = await served.ask("PATCH", f"{SETS}/db/scale?fieldManager=me", {**body, "spec": {"replicas": 1}}, apply)
    assert (status, why["reason"]) == (409, "Conflict")


async def test_a_scale_that_no_set_can_have_is_refused(registries: Registries, served: Served) -> None:
    await create(registries, made(replicas=4, minAvailable=3))
    for replicas in (-1, MOST_REPLICAS + 1, 2):
        status, why = await served.ask("PATCH", f"{SETS}/db/scale", {"spec": {"replicas": replicas}}, MERGE)
        assert (status, why["reason"]) == (422, "Invalid"), replicas
    assert (await served.ask("PATCH", f"{SETS}/db/scale", {"spec": {"replicas": 0}}, MERGE))[0] == 200
    assert (await served.ask("GET", f"{SETS}/none/scale"))[0] == 404
    assert (await served.ask("POST", f"{SETS}/db/scale", {}))[0] == 405
    assert (await served.ask("DELETE", f"{SETS}/db/scale"))[0] == 405


async def test_discovery_and_openapi_have_the_scale(served: Served) -> None:
    _, found = await served.ask("GET", "/apis/workload.metal3.io/v1alpha1")
    (scale,) = [one for one in found["resources"] if one["name"] == "workloadsets/scale"]
    assert (scale["group"], scale["version"], scale["kind"], scale["verbs"]) == ("autoscaling", "v1", "Scale", ["get", "patch", "update"])
    _, document = await served.ask("GET", "/openapi/v3/apis/workload.metal3.io/v1alpha1")
    path = document["paths"]["/apis/workload.metal3.io/v1alpha1/namespaces/{namespace}/workloadsets/{name}/scale"]
    reference = path["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert (
        document["components"]["schemas"][reference.rpartition("/")[2]]["properties"]["spec"]["properties"]["replicas"]["type"] == "integer"
    )


async def test_scaling_passes_the_admission_of_scale_and_of_the_set(registries: Registries) -> None:
    await create(registries, made(replicas=2))
    seen: list[tuple[str, str, int]] = []

    class Capped:
        """Lowers what a Scale asks for."""

        async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
            assert attributes.new is not None
            seen.append((attributes.new["kind"], attributes.subresource, attributes.new["spec"]["replicas"]))
            if attributes.subresource == "scale":
                return {**attributes.new, "spec": {"replicas": 3}}
            return attributes.new

    registries.catalog.sets.admission = Capped()
    scale = registries.catalog.sets.scale
    assert scale is not None
    entry = await scale.update(CONTEXT, "tenant-a", "db", lambda old: {**old, "spec": {"replicas": 9}})
    assert entry.object()["spec"]["replicas"] == 3
    assert seen == [("Scale", "scale", 9), ("WorkloadSet", "", 3)]
