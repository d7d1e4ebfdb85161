"""Check merge patches for real hosts. Applied, they give the desired state; applied again, they are
empty; fields of others stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.images import missing_checksum
from apiserver.apis.workloadclass import CleaningPolicy
from apiserver.registry.generic.patch import merge_patch
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.desired import (
    claimed_patch,
    cleaning_mode,
    consumed_annotations,
    desired,
    drop_claim_patch,
    has_stale_label_of,
    held,
    is_claimed_by,
    never_off,
    released_patch,
)
from tests.unit.controllers.clusters import bmh, workload

images = st.fixed_dictionaries(
    {"url": st.sampled_from(["http://a", "http://b"])},
    optional={
        "checksum": st.just("c"),
        "checksumType": st.sampled_from(["md5", "sha256"]),
        "format": st.sampled_from(["", "qcow2", "raw"]),
    },
)
notes = st.dictionaries(
    st.sampled_from(["reboot.metal3.io", "reboot.metal3.io/x", "capm3.metal3.io/unhealthy", "baremetalhost.metal3.io/paused", "other"]),
    st.sampled_from(["", '{"mode":"hard"}']),
)


def host(**spec: Any) -> dict[str, Any]:
    made = bmh("h1", **spec)
    made["metadata"] |= {"uid": "real", "resourceVersion": "5"}
    return made


def made(**spec: Any) -> dict[str, Any]:
    wl = workload("w", **spec)
    wl["metadata"]["uid"] = "uid-1"
    return wl


wants = st.builds(
    lambda image, custom, online, cleaning, notes, fields: desired(
        made(image=None if custom else image, customDeploy=custom, online=online),
        {field: f"workload-uid-1-{field.lower()}" for field in fields},
        notes,
        cleaning=cleaning,
    ),
    st.none() | images,
    st.none() | st.just({"method": "install_coreos"}),
    st.booleans(),
    st.sampled_from(["metadata", "disabled"]),
    notes,
    st.sets(st.sampled_from(["userData", "metaData", "networkData"])),
)


@given(st.lists(wants, min_size=1, max_size=4))
def test_patches_converge_from_any_state(steps: list[Any]) -> None:
    current = host()
    for want in steps:
        current = merge_patch(current, claimed_patch(current, want))
        assert claimed_patch(current, want) == {}, "idempotent"
        spec = current["spec"]
        assert spec.get("image") == want.image
        assert spec.get("customDeploy") == want.custom_deploy
        assert {field for field in ("userData", "metaData", "networkData") if field in spec} == set(want.secrets)
        assert all(spec[field]["namespace"] == "metal3" for field in want.secrets)
    assert current["spec"]["bmc"] == host()["spec"]["bmc"]
    assert current["metadata"]["labels"]["size"] == "m"
    assert names.PAUSED not in current["metadata"]["annotations"]


@given(wants)
def test_release_undoes_everything(want: Any) -> None:
    claimed = merge_patch(host(), claimed_patch(host(), want))
    emptied = merge_patch(claimed, released_patch(claimed, online=False))
    assert emptied["spec"]["consumerRef"] == want.consumer, "the claim is the last thing to go"
    assert not {"image", "customDeploy", "userData", "metaData", "networkData"} & set(emptied["spec"])
    assert released_patch(emptied, online=False) == {}
    free = merge_patch(emptied, drop_claim_patch(emptied))
    assert "consumerRef" not in free["spec"]
    kept = {key: value for key, value in free["metadata"]["annotations"].items() if key not in names.UNHEALTHY}
    assert kept == host()["metadata"]["annotations"]
    assert free["metadata"]["labels"] == host()["metadata"]["labels"]
    assert drop_claim_patch(free) == {}


def test_an_empty_format_is_left_out() -> None:
    want = desired(made(image={"url": "u", "checksum": "c", "format": ""}), {}, {}, cleaning="metadata")
    assert want.image == {"url": "u", "checksum": "c"}


def test_a_replaced_image_keeps_nothing_of_the_old_one() -> None:
    old = host(image={"url": "a", "checksum": "c", "checksumType": "md5"})
    want = desired(made(image={"url": "oci://b"}), {}, {}, cleaning="metadata")
    assert merge_patch(old, claimed_patch(old, want))["spec"]["image"] == {"url": "oci://b"}


def test_a_reboot_is_passed_once_and_taken_back() -> None:
    wanted = {"reboot.metal3.io/remedy": "", "reboot.metal3.io": ""}
    want = desired(made(), {}, wanted, cleaning="metadata")
    current = merge_patch(host(), claimed_patch(host(), want))
    assert consumed_annotations(current, wanted) == ()
    # BMO has applied the patch.
    current = merge_patch(current, {"metadata": {"annotations": {"reboot.metal3.io": None}}})
    assert claimed_patch(current, want) == {}
    assert consumed_annotations(current, wanted) == ("reboot.metal3.io",)
    without = desired(made(), {}, {}, cleaning="metadata")
    current = merge_patch(current, claimed_patch(current, without))
    assert not [key for key in current["metadata"]["annotations"] if names.is_reboot(key)]


def test_the_owners_reboot_stays() -> None:
    current = host()
    current["metadata"]["annotations"]["reboot.metal3.io/owner"] = ""
    want = desired(made(), {}, {}, cleaning="metadata")
    current = merge_patch(current, claimed_patch(current, want))
    current = merge_patch(current, released_patch(current, online=False))
    assert "reboot.metal3.io/owner" in current["metadata"]["annotations"]


def test_broken_bookkeeping_does_not_matter() -> None:
    current = host()
    current["metadata"]["annotations"][names.PASSED] = "{not json"
    want = desired(made(), {}, {"reboot.metal3.io": ""}, cleaning="metadata")
    assert claimed_patch(current, want)["metadata"]["annotations"]["reboot.metal3.io"] == ""


def test_a_claim_is_recognized_by_the_workloads_uid_too() -> None:
    claimed = merge_patch(host(), claimed_patch(host(), desired(made(), {}, {}, cleaning="metadata")))
    assert is_claimed_by(claimed, made())
    other = made()
    other["metadata"]["uid"] = "uid-2"
    assert not is_claimed_by(claimed, other), "the same name in another management cluster, or in an earlier life"


def test_held_keeps_what_is_there_but_follows_power() -> None:
    current = merge_patch(host(), claimed_patch(host(), desired(made(), {"userData": "x"}, {}, cleaning="metadata")))
    want = held(current, desired(made(online=False, image={"url": "http://new", "checksum": "c"}), {}, {}, cleaning="metadata"))
    assert claimed_patch(current, want) == {"spec": {"online": False}}


def test_a_machine_that_must_not_be_powered_off_stays_on() -> None:
    current = host(disablePowerOff=True, online=True)
    off = made(online=False)
    claimed = merge_patch(current, claimed_patch(current, desired(off, {}, {}, cleaning="metadata")))
    assert claimed["spec"]["online"] is True
    assert "online" not in released_patch(claimed, online=False).get("spec", {})
    assert never_off(claimed, off)
    assert never_off(claimed, made(online=True)) == ""
    assert never_off(host(), off) == ""


@pytest.mark.parametrize(
    ("wanted", "policy", "mode"),
    [
        (None, None, "metadata"),
        ("disabled", None, "metadata"),
        ("disabled", CleaningPolicy(), "metadata"),
        ("disabled", CleaningPolicy(tenant_may_disable=True), "disabled"),
        (None, CleaningPolicy(mode="disabled"), "disabled"),
        ("metadata", CleaningPolicy(mode="disabled"), "metadata"),
        (None, CleaningPolicy(mode="full"), "metadata"),
    ],
)
def test_the_class_decides_on_cleaning(wanted: str | None, policy: CleaningPolicy | None, mode: str) -> None:
    assert cleaning_mode(made(automatedCleaningMode=wanted), policy) == mode


@pytest.mark.parametrize(
    ("image", "missing"),
    [
        (None, False),
        ({"url": "http://x"}, True),
        ({"url": "http://x", "checksum": "c"}, False),
        ({"url": "http://x", "format": "live-iso"}, False),
        ({"url": "oci://x"}, False),
    ],
)
def test_which_images_need_a_checksum(image: dict[str, Any] | None, missing: bool) -> None:
    assert missing_checksum(image) is missing


@pytest.mark.parametrize(
    ("spec", "label", "ours"),
    [
        ({"image": {"url": "http://images.example/os.qcow2"}}, "uid-1", True),
        ({}, "uid-1", True),
        ({"image": {"url": "http://owner/own.qcow2"}}, "uid-1", False),
        ({}, "uid-2", False),
        ({"consumerRef": {"kind": "Metal3Machine", "name": "other"}}, "uid-1", False),
    ],
)
def test_a_host_without_a_consumer_is_resumed_only_with_our_own_fields_on_it(spec: dict[str, Any], label: str, ours: bool) -> None:
    found = host(**spec)
    found["metadata"]["labels"] = {names.WORKLOAD_UID: label}
    assert has_stale_label_of(found, made()) is ours
