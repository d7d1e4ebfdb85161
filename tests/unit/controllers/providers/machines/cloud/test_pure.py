"""Parameters, images, first-boot data and steps."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers.providers.base import ProviderError, Source
from controllers.providers.machines.cloud.images import image_id, user_data
from controllers.providers.machines.cloud.parameters import Parameters
from controllers.providers.machines.instance import BOOTED, IMAGE, REBOOTED, REMOVING, SURPLUS, WORKLOAD_UID, Instance, newest_gone, oldest
from controllers.providers.machines.steps import Step, Wish, next_step
from controllers.providers.testing import claim

SMALL = {"name": "small", "instanceType": "t3.small", "cpu": 2, "memory": "2Gi", "disk": "8Gi", "capacity": 1}
URL = "http://images.example/os"
OS = {"url": URL}
MOST = 16 * 1024


def parameters(**fields: Any) -> Parameters:
    return Parameters.decode({"region": "eu-central-1", "flavors": [SMALL], **fields})


@pytest.mark.parametrize("driver", ["ec2", "openstack"])
@pytest.mark.parametrize("endpoint", ["http://cloud.example", "ftp://127.0.0.1", "https://h/?path", "cloud.example"])
def test_credentials_go_to_https_endpoints_only(endpoint: str, driver: str) -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        parameters(endpoint=endpoint, driver=driver)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"driver": "openstack"}, "needs the URL of Keystone"),
        ({"driver": "openstack", "endpoint": "https://c:5000/v3", "subnet": "s"}, "subnet: driver openstack does not have that"),
        ({"driver": "openstack", "endpoint": "https://c/identity", "publicAddress": True}, "networks to one that has public addresses"),
        ({"driver": "openstack", "endpoint": "https://c", "networks": ["a", "b"]}, "at most 1 item"),
        ({"endpoint": "https://c/identity"}, "has no path"),
        ({"networks": ["a"]}, "set subnet instead"),
        ({"driver": "azure"}, "'ec2' or 'openstack'"),
    ],
)
def test_what_the_driver_does_not_know_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        parameters(**fields)


def test_images_are_told_by_the_class_or_by_id() -> None:
    known = parameters(images=[{"url": URL, "id": "ami-1"}], tenantImages=True)
    assert image_id({"image": {"url": URL}}, known, "ami://") == "ami-1"
    assert image_id({"image": {"url": "ami://ami-2"}}, known, "ami://") == "ami-2"
    assert image_id({}, known, "ami://") is None
    for spec, reason in (
        ({"image": {"url": "http://other"}}, "ImageUnknown"),
        ({"customDeploy": {"method": "x"}}, "CustomDeployUnsupported"),
        ({"image": {"url": "ami://" + "x" * 300}}, "ImageUnusable"),
    ):
        with pytest.raises(ProviderError) as error:
            image_id(spec, known, "ami://")
        assert error.value.reason == reason
    with pytest.raises(ProviderError):
        image_id({"image": {"url": "ami://ami-2"}}, parameters(), "ami://")


def _request(text: bytes) -> Any:
    return claim("w", Source("r", "small-0", "uid"), secrets={"userData": {"userData": text}, "metaData": {"metaData": b"rack: r7"}})


def test_metadata_is_filled_into_templates_for_cloud_init() -> None:
    text = (
        b"## template: jinja\n#cloud-config\nid: {{ ds.meta_data.uuid }} {{ds.meta_data['rack']}} {{ ds.meta_data.none }} {{ v1.region }}"
    )
    assert user_data(_request(text), MOST).endswith(b"id: view-uid r7 {{ ds.meta_data.none }} {{ v1.region }}")
    assert user_data(_request(b"{{ ds.meta_data.uuid }}"), MOST) == b"{{ ds.meta_data.uuid }}", "not a template"


@given(st.binary(max_size=200))
def test_other_user_data_is_passed_as_it_is(text: bytes) -> None:
    if not text.startswith(b"## template: jinja"):
        assert user_data(_request(text), MOST) == text


def test_long_user_data_is_packed_or_refused() -> None:
    text = b"#cloud-config\n" + b"x" * 2 * MOST
    assert gzip.decompress(user_data(_request(text), MOST)) == text
    with pytest.raises(ProviderError, match="user data"):
        user_data(_request(b'{"ignition": "' + b"x" * MOST + b'"}'), MOST)


UNRECORDED = Wish(True, image=OS, recorded=False)
ON, OFF = Wish(True, image=OS), Wish(False, image=OS)
REBOOTING = Wish(True, image=OS, annotations={"reboot.metal3.io": ""})


def instance(state: str, *tags: str, image: str = URL) -> Instance:
    return Instance("i-1", state, {IMAGE: image, **dict.fromkeys(tags, "true")})


@pytest.mark.parametrize(
    ("there", "wish", "step"),
    [
        (None, ON, Step.CREATE),
        (None, OFF, None),
        (None, Wish(True), None),
        (None, Wish(True, held=True, image=OS), None),
        (instance("pending"), ON, Step.WAIT),
        (instance("running"), ON, Step.NOTE_BOOTED),
        (instance("running", BOOTED), ON, None),
        (instance("running", BOOTED), OFF, Step.STOP),
        (instance("stopping", BOOTED), OFF, Step.WAIT),
        (instance("stopped", BOOTED), OFF, None),
        (instance("stopped", BOOTED), ON, Step.START),
        (instance("running", BOOTED), REBOOTING, Step.REBOOT),
        (instance("running", BOOTED, REBOOTED), REBOOTING, None),
        (instance("running", BOOTED, REBOOTED), ON, Step.FORGET_REBOOT),
        (instance("running", BOOTED, image="http://old"), ON, Step.NOTE_REMOVING),
        (instance("running", BOOTED, image="http://old"), Wish(True), Step.NOTE_REMOVING),
        (instance("running", BOOTED, image="http://old"), Wish(True, held=True), None),
        (instance("running", BOOTED, REMOVING), ON, Step.ERASE),
        (instance("shutting-down", REMOVING), ON, Step.WAIT),
        (instance("running", BOOTED, image="http://old"), UNRECORDED, Step.NOTE_REMOVING),
        (instance("running", BOOTED, REMOVING), UNRECORDED, Step.WAIT),
        (instance("error"), ON, Step.DISCARD),
        (instance("error", image="http://old"), ON, Step.DISCARD),
        (instance("error", BOOTED), ON, None),
        (instance("error", BOOTED), REBOOTING, Step.REBOOT),
        (instance("error", BOOTED, image="http://old"), ON, Step.ERASE),
        (instance("error", BOOTED, image="http://old"), UNRECORDED, Step.WAIT),
        (instance("held", BOOTED), OFF, None),
        (instance("pending", BOOTED, REBOOTED), ON, Step.WAIT),
    ],
)
def test_steps(there: Instance | None, wish: Wish, step: Step | None) -> None:
    assert next_step(there, wish) == step


def test_the_end_of_one_that_was_too_many_says_nothing_of_the_others() -> None:
    mine = {WORKLOAD_UID: "u"}
    replaced = Instance("a", "terminated", {**mine, REMOVING: "true"}, "2026-01-01")
    surplus = Instance("b", "terminated", {**mine, SURPLUS: "true"}, "2026-01-02")
    assert newest_gone([surplus, replaced], "u") == replaced
    assert newest_gone([surplus], "u") is None
    assert newest_gone([replaced], "another") is None


def test_of_several_machines_the_one_that_ran_stays_and_else_the_older_one() -> None:
    """However often and by whomever it is asked, for each asks with what is left."""
    early, late = Instance("b", "running", {}, "2026-01-01"), Instance("a", "running", {}, "2026-01-02")
    ran = Instance("c", "stopped", {BOOTED: "true"}, "2026-01-03")
    assert oldest([late, early]) == early
    assert oldest([late, early, ran]) == ran
    assert oldest([]) is None
