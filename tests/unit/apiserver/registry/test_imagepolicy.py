"""Check that what a class allows to be deployed is enforced on every path: at the Workload, its
binding, and the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Registries

METADATA_SERVICE = {**IMAGE, "url": "http://169.254.169.254/latest/user-data"}
FORBIDDEN = [
    ({"image": METADATA_SERVICE}, "spec.image.url"),
    ({"image": {**IMAGE, "url": "file:///shared/html/os"}}, "spec.image.url"),
    ({"image": {**IMAGE, "checksum": "http://127.0.0.1:6385/v1/nodes"}}, "spec.image.checksum"),
    ({"image": {**IMAGE, "url": "oci://images.example/os"}}, "spec.image.checksum"),
    ({"customDeploy": {"method": "install"}}, "spec.customDeploy.method"),
]


async def make_class(registries: Registries, **spec: Any) -> None:
    """Create the class metal with these policies."""
    await registries.classes.create(
        CONTEXT, "", {"metadata": {"name": "metal"}, "spec": {"provisioner": "metal3.io/baremetalhost", **spec}}
    )


async def make(registries: Registries, spec: dict[str, Any], class_name: str | None = "metal") -> None:
    """Create the Workload w."""
    chosen = {"className": class_name} if class_name else {}
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {**chosen, **spec}})


async def change(registries: Registries, **spec: Any) -> None:
    """Change the Workload w."""
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda old: {**old, "spec": {**old["spec"], **spec}})


def fields(error: ApiError) -> list[str]:
    """Return the fields that the error names."""
    answer = error.status()
    assert answer["code"] == 422
    return [cause["field"] for cause in answer["details"]["causes"]]


UNCHECKED = {"image": {"url": "https://images.example.com/os.qcow2"}}


@pytest.mark.parametrize("provisioner", ["metal3.io/baremetalhost", "metal3.io/relay"])
async def test_an_image_without_checksum_is_refused_where_bmo_needs_one(registries: Registries, provisioner: str) -> None:
    await make_class(registries, provisioner=provisioner)
    with pytest.raises(ApiError) as caught:
        await make(registries, UNCHECKED)
    assert fields(caught.value) == ["spec.image.checksum"]
    await make(registries, {})
    with pytest.raises(ApiError) as caught:
        await change(registries, **UNCHECKED)
    assert fields(caught.value) == ["spec.image.checksum"]
    for image in (
        {**UNCHECKED["image"], "checksum": "0" * 32},
        {**UNCHECKED["image"], "format": "live-iso"},
        {"url": "oci://images.example.com/os"},
    ):
        await change(registries, image=image)


@pytest.mark.parametrize("provisioner", ["metal3.io/kubevirt", "metal3.io/cloud", "example.com/other"])
async def test_other_sources_do_without_a_checksum(registries: Registries, provisioner: str) -> None:
    await make_class(registries, provisioner=provisioner)
    await make(registries, UNCHECKED)


async def test_a_stored_image_without_checksum_stays_accepted(registries: Registries) -> None:
    await make(registries, UNCHECKED)  # the class does not exist yet
    await make_class(registries)
    await change(registries, online=False)
    host = await registries.add_host()
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})


@pytest.mark.parametrize("class_name", ["metal", "none"])
@pytest.mark.parametrize("url", ["not a url", "", "images.example.com/os", "https://", "https://a b"])
async def test_what_is_no_url_is_refused_also_without_the_class(registries: Registries, url: str, class_name: str) -> None:
    await make_class(registries)
    with pytest.raises(ApiError) as caught:
        await make(registries, {"image": {**IMAGE, "url": url}}, class_name)
    assert "spec.image.url" in fields(caught.value)


@pytest.mark.parametrize(
    ("spec", "warned"),
    [({}, True), ({"online": True}, True), (None, True), ({"image": IMAGE}, False), ({"consumerRef": CONSUMER}, False)],
)
async def test_a_workload_that_runs_nothing_is_warned_of(registries: Registries, spec: Any, warned: bool) -> None:
    context = Context(UserInfo("tenant"))
    await registries.workloads.create(context, "tenant-a", {"metadata": {"name": "w"}, **({"spec": spec} if spec is not None else {})})
    assert any("nothing will run" in warning for warning in context.warnings) is warned


async def test_a_claim_through_the_view_is_warned_of_nothing(registries: Registries) -> None:
    await registries.add_host()
    context = Context(UserInfo("tenant"))
    await registries.patch_view("tenant-a", "node-0", context, consumerRef=CONSUMER)
    assert context.warnings == []


@pytest.mark.parametrize(("spec", "field"), FORBIDDEN)
async def test_a_workload_is_refused_what_the_class_does_not_allow(registries: Registries, spec: dict[str, Any], field: str) -> None:
    await make_class(registries)
    with pytest.raises(ApiError) as caught:
        await make(registries, spec)
    assert fields(caught.value) == [field]
    await make(registries, {})
    with pytest.raises(ApiError) as caught:
        await change(registries, **spec)
    assert fields(caught.value) == [field]


@pytest.mark.parametrize(("spec", "field"), FORBIDDEN)
async def test_a_view_is_refused_what_the_class_does_not_allow(registries: Registries, spec: dict[str, Any], field: str) -> None:
    await make_class(registries)
    await registries.add_host()
    with pytest.raises(ApiError) as caught:
        await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, **spec)
    assert fields(caught.value) == [field]
    assert registries.workloads.find("tenant-a", "node-0") is None
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    with pytest.raises(ApiError) as caught:
        await registries.patch_view("tenant-a", "node-0", **spec)
    assert fields(caught.value) == [field]


async def test_images_that_the_class_lists_are_allowed(registries: Registries) -> None:
    await make_class(registries, images={"allow": ["http://169.254.169.254/latest/"]}, customDeploy={"methods": ["install"]})
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, customDeploy={"method": "install"})
    await make(registries, {"image": METADATA_SERVICE})
    with pytest.raises(ApiError) as caught:
        await change(registries, image=IMAGE)
    assert "http://169.254.169.254/latest/" in str(caught.value), "the rule is named"


async def test_what_is_stored_stays_accepted_when_the_class_changes(registries: Registries) -> None:
    await make_class(registries)
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    await make(registries, {"image": IMAGE})
    closed = {"images": {"allow": ["https://elsewhere.example.com/"]}}
    await registries.classes.update(CONTEXT, "", "metal", lambda old: {**old, "spec": {**old["spec"], **closed}})
    await change(registries, online=False)
    await registries.patch_view("tenant-a", "node-0", online=True)
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda old: {**old, "status": {"phase": "Pending"}}, subresource="status")
    await registries.workloads.delete(CONTEXT, "tenant-a", "w", DeleteOptions())


async def test_without_a_class_the_binding_looks(registries: Registries) -> None:
    with pytest.raises(ApiError):
        await make(registries, {"image": {**IMAGE, "url": "http://user:pw@images.example/os"}}, class_name=None)
    await make(registries, {"image": METADATA_SERVICE}, class_name=None)
    await make_class(registries)
    host = await registries.add_host()
    with pytest.raises(ApiError) as caught:
        await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert fields(caught.value) == ["spec.image.url"]
    assert "claimRef" not in registries.hosts.get("", host).object()["spec"]


BAD = {"url": "https://images.example.com/os", "checksum": "abc", "checksumType": "sha256"}


async def test_a_checksum_that_can_be_none_is_refused_by_every_path(registries: Registries) -> None:
    await make_class(registries)
    with pytest.raises(ApiError) as caught:
        await make(registries, {"image": BAD})
    assert fields(caught.value) == ["spec.image.checksum"]
    await make(registries, {})
    with pytest.raises(ApiError) as caught:
        await change(registries, image=BAD)
    assert fields(caught.value) == ["spec.image.checksum"]
    await registries.add_host()
    with pytest.raises(ApiError) as caught:
        await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=BAD)
    assert fields(caught.value) == ["spec.image.checksum"]


async def test_a_checksum_that_is_stored_stays_accepted_and_is_bound(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    await make_class(registries)
    host = await registries.add_host()
    # An earlier version accepted this checksum.
    monkeypatch.setattr("apiserver.registry.workload.digest_problem", lambda *_: None)
    await make(registries, {"image": BAD})
    monkeypatch.undo()
    await change(registries, online=False)
    await change(registries, image={**BAD, "url": "https://images.example.com/newer"})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    await registries.patch_view("tenant-a", "node-0", online=True, image={**BAD, "url": "https://images.example.com/newest"})
    with pytest.raises(ApiError) as caught:
        await registries.patch_view("tenant-a", "node-0", image={**BAD, "checksum": "abcd"})
    assert fields(caught.value) == ["spec.image.checksum"]


@pytest.mark.parametrize(
    ("policy", "spec", "words"),
    [
        ({}, {"image": {**IMAGE, "url": "file:///os"}}, ("https://, http://, oci:// (the default)", "images.allow")),
        ({"images": {"allow": ["images.example.com"]}}, {"image": IMAGE}, ("images.example.com: use", "images.allow")),
        ({"images": {"allow": []}}, {"image": IMAGE}, ("no URL", "images.allow")),
        ({}, {"image": METADATA_SERVICE}, ("link-local", "images.allow")),
        ({}, {"customDeploy": {"method": "install"}}, ("no deploy methods", "customDeploy.methods")),
        ({"customDeploy": {"methods": ["a", "b"]}}, {"customDeploy": {"method": "install"}}, ("a, b", "customDeploy.methods")),
    ],
)
@pytest.mark.parametrize("path", ["workload", "view"])
async def test_a_refusal_names_the_class_its_rules_and_a_way_out(
    registries: Registries, policy: dict[str, Any], spec: dict[str, Any], words: tuple[str, ...], path: str
) -> None:
    await make_class(registries, **policy)
    await registries.add_host()
    with pytest.raises(ApiError) as refused:
        await (make(registries, spec) if path == "workload" else registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, **spec))
    message = refused.value.details["causes"][0]["message"]
    for word in ('the class "metal"', "ask", *words):
        assert word in message
    assert "spec." not in message, "that would be the Workload's"
