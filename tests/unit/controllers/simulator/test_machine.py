"""Follow the life of a host: every state and every transition between states, as in BMO."""

from __future__ import annotations

import math

import pytest

from controllers.simulator.machine import FINALIZER
from controllers.simulator.secrets import KnownSecret
from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.lifecycle import BMC, IMAGE, HostLifecycle, available, new_host, provisioned


def test_from_nothing_to_available() -> None:
    lifecycle = HostLifecycle()
    lifecycle.settle()
    assert lifecycle.states == ["registering", "inspecting", "preparing", "available"]
    assert lifecycle.host.metadata.finalizers == [FINALIZER]
    assert lifecycle.host.spec.architecture == "x86_64"
    status = lifecycle.status
    assert status.operational_status == "OK"
    assert status.powered_on
    assert status.provisioning.id
    assert status.good_credentials is not None
    assert status.good_credentials == status.tried_credentials
    assert status.good_credentials.credentials is not None
    assert status.good_credentials.credentials.name == "host-0-bmc"
    assert status.hardware is not None
    assert status.hardware.hostname == "host-0"
    history = status.operation_history
    assert history is not None
    assert history.register_ is not None
    assert history.register_.end is not None
    assert history.inspect is not None
    assert history.inspect.end is not None


def test_each_state_takes_its_time() -> None:
    lifecycle = HostLifecycle(settings=Settings(registering=1, inspecting=10, preparing=1))
    lifecycle.run(5)
    assert lifecycle.state == "inspecting"
    lifecycle.settle()
    assert lifecycle.state == "available"


def test_a_host_at_rest_costs_no_writes() -> None:
    lifecycle = available()
    before = lifecycle.writes
    assert math.isinf(lifecycle.once().wake)
    assert lifecycle.writes == before


def test_without_bmc_it_stays_unmanaged_until_it_has_one() -> None:
    lifecycle = HostLifecycle(new_host({"bmc": None}))
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.operational_status) == ("unmanaged", "discovered")
    lifecycle.want(bmc=BMC)
    lifecycle.settle()
    assert lifecycle.state == "available"


@pytest.mark.parametrize("how", [{"inspectionMode": "disabled"}, {}])
def test_inspection_can_be_turned_off(how: dict[str, str]) -> None:
    lifecycle = HostLifecycle(new_host(how, annotations={} if how else {"inspect.metal3.io": "disabled"}))
    lifecycle.settle()
    assert lifecycle.states == ["registering", "preparing", "available"]
    assert lifecycle.status.hardware is None


def test_inspection_again_on_demand() -> None:
    lifecycle = available()
    lifecycle.annotate(**{"inspect.metal3.io": ""})
    lifecycle.settle()
    assert lifecycle.states == ["available", "inspecting", "preparing", "available"]
    assert "inspect.metal3.io" not in (lifecycle.host.metadata.annotations or {})


def test_an_image_is_provisioned_when_online() -> None:
    lifecycle = available({"online": False})
    assert lifecycle.status.powered_on is False
    lifecycle.want(image=IMAGE)
    lifecycle.settle()
    assert lifecycle.state == "available"
    lifecycle.want(online=True)
    lifecycle.settle()
    assert lifecycle.states == ["available", "provisioning", "provisioned"]
    assert lifecycle.powers == [False, True]
    assert lifecycle.status.provisioning.image is not None
    assert lifecycle.status.provisioning.image.url == IMAGE["url"]
    assert {c.type: c.status for c in lifecycle.status.conditions or ()}["Provisioned"] == "True"


def test_custom_deploy_is_provisioned_too() -> None:
    lifecycle = available()
    lifecycle.want(customDeploy={"method": "install_coreos"})
    lifecycle.settle()
    assert lifecycle.state == "provisioned"
    lifecycle.want(customDeploy={"method": "other"})
    lifecycle.settle()
    assert lifecycle.states == ["available", "provisioning", "provisioned", "deprovisioning", "available", "provisioning", "provisioned"]


def test_an_unset_image_deprovisions() -> None:
    lifecycle = provisioned()
    lifecycle.want(image=None, online=False)
    lifecycle.settle()
    assert lifecycle.states == ["provisioned", "deprovisioning", "available"]
    assert lifecycle.status.provisioning.image is None
    assert lifecycle.powers == [True, False]


def test_another_image_reprovisions() -> None:
    lifecycle = provisioned()
    lifecycle.want(image={**IMAGE, "url": "http://images.example/other.qcow2"})
    lifecycle.settle()
    assert lifecycle.states == ["provisioned", "deprovisioning", "available", "provisioning", "provisioned"]


def test_another_checksum_alone_does_not() -> None:
    lifecycle = provisioned()
    lifecycle.want(image={**IMAGE, "checksum": "def"})
    lifecycle.settle()
    assert lifecycle.states == ["provisioned"]


def test_cleaning_takes_longer_than_none() -> None:
    settings = Settings(deprovisioning=1, cleaning=50)
    spans = []
    for mode in ("disabled", "metadata"):
        lifecycle = available({"automatedCleaningMode": mode}, settings)
        lifecycle.want(image=IMAGE)
        lifecycle.settle()
        start = lifecycle.now
        lifecycle.want(image=None, online=False)
        lifecycle.settle()
        spans.append(lifecycle.now - start)
    assert spans == [pytest.approx(1), pytest.approx(51)]


def test_provisioning_can_be_called_off() -> None:
    lifecycle = available()
    lifecycle.want(image=IMAGE)
    lifecycle.run(1)
    assert lifecycle.state == "provisioning"
    lifecycle.want(image=None)
    lifecycle.settle()
    assert lifecycle.states == ["available", "provisioning", "deprovisioning", "available"]


def test_externally_provisioned() -> None:
    lifecycle = HostLifecycle(new_host({"externallyProvisioned": True}))
    lifecycle.settle()
    assert lifecycle.states == ["registering", "externally provisioned"]
    assert lifecycle.status.powered_on
    lifecycle.want(externallyProvisioned=False, image=IMAGE)
    lifecycle.settle()
    assert lifecycle.states[-1] == "provisioned"


def test_changed_raid_prepares_again() -> None:
    lifecycle = available()
    lifecycle.want(raid={"softwareRAIDVolumes": [{"level": "1"}]})
    lifecycle.settle()
    assert lifecycle.states == ["available", "preparing", "available"]


@pytest.mark.parametrize(
    ("state", "path"),
    [
        ("provisioned", ["provisioned", "deprovisioning", "powering off before delete", "deleting"]),
        ("available", ["available", "powering off before delete", "deleting"]),
    ],
)
def test_deletion(state: str, path: list[str]) -> None:
    lifecycle = provisioned() if state == "provisioned" else available()
    lifecycle.delete()
    lifecycle.settle()
    assert lifecycle.states == path
    assert lifecycle.gone
    assert lifecycle.powers[-1] is False


def test_deletion_while_registering_is_short() -> None:
    lifecycle = HostLifecycle()
    lifecycle.run(0.5)
    lifecycle.delete()
    lifecycle.settle()
    assert lifecycle.states == ["registering", "deleting"]
    assert lifecycle.gone


def test_deletion_without_credentials_continues() -> None:
    lifecycle = provisioned()
    lifecycle.secrets = {}
    lifecycle.delete()
    lifecycle.settle()
    assert lifecycle.gone


def test_a_paused_host_is_left_alone_deletion_included() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{"baremetalhost.metal3.io/paused": ""})
    lifecycle.want(image=None, online=False)
    lifecycle.delete()
    before = lifecycle.writes
    lifecycle.settle()
    assert (lifecycle.states, lifecycle.writes, lifecycle.gone) == (["provisioned"], before, False)
    lifecycle.annotate(**{"baremetalhost.metal3.io/paused": None})
    lifecycle.settle()
    assert lifecycle.gone


def test_a_new_paused_host_gets_nothing() -> None:
    lifecycle = HostLifecycle(new_host(annotations={"baremetalhost.metal3.io/paused": "x"}))
    lifecycle.settle()
    assert lifecycle.host.status is None
    assert lifecycle.host.metadata.finalizers is None


def test_detached_keeps_the_state() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{"baremetalhost.metal3.io/detached": ""})
    lifecycle.want(online=False)
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.operational_status, lifecycle.status.powered_on) == ("provisioned", "detached", True)
    lifecycle.annotate(**{"baremetalhost.metal3.io/detached": None})
    lifecycle.settle()
    assert (lifecycle.status.operational_status, lifecycle.status.powered_on) == ("OK", False)


def test_a_detached_host_is_deleted_as_it_is() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{"baremetalhost.metal3.io/detached": ""})
    lifecycle.settle()
    lifecycle.delete()
    lifecycle.settle()
    assert lifecycle.states == ["provisioned", "deleting"]


def test_detached_deletion_can_be_delayed() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{"baremetalhost.metal3.io/detached": '{"deleteAction":"delay"}'})
    lifecycle.delete()
    lifecycle.settle()
    assert lifecycle.states == ["provisioned"]
    assert not lifecycle.gone


def test_the_status_annotation_restores_a_moved_host() -> None:
    moved = provisioned()
    json = moved.status.model_dump_json(by_alias=True, exclude_none=True)
    lifecycle = HostLifecycle(new_host({"image": IMAGE}, annotations={"baremetalhost.metal3.io/status": json}))
    lifecycle.settle()
    assert lifecycle.states == ["provisioned"]
    assert lifecycle.host.metadata.annotations == {}


def test_the_status_annotation_of_a_host_with_a_status_is_dropped() -> None:
    lifecycle = available()
    lifecycle.annotate(**{"baremetalhost.metal3.io/status": '{"provisioning":{"state":"provisioned"}}'})
    lifecycle.settle()
    assert lifecycle.states == ["available"]
    assert lifecycle.host.metadata.annotations == {}


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ({}, "secret doesn't exist The BMC secret metal3/host-0-bmc does not exist"),
        ({"host-0-bmc": KnownSecret("1", frozenset({"username"}))}, "Missing BMC connection details 'password'"),
        ({"host-0-bmc": KnownSecret("1", frozenset({"password"}))}, "Missing BMC connection detail 'username'"),
    ],
)
def test_bad_credentials_are_a_registration_error_until_they_are_good(secrets: dict[str, KnownSecret], message: str) -> None:
    lifecycle = HostLifecycle()
    lifecycle.secrets = secrets
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.error_type, lifecycle.status.operational_status) == (
        "registering",
        "registration error",
        "error",
    )
    assert message in lifecycle.status.error_message
    lifecycle.secrets = {"host-0-bmc": KnownSecret("2", frozenset({"username", "password"}))}
    lifecycle.settle()
    assert lifecycle.state == "available"
    assert (lifecycle.status.error_type, lifecycle.status.error_message, lifecycle.status.error_count) == (None, "", 0)


def test_a_missing_credentials_name_and_address() -> None:
    for bmc, message in (
        ({"address": "x", "credentialsName": ""}, "No BMC CredentialsName"),
        ({**BMC, "address": ""}, "Empty BMC address"),
    ):
        lifecycle = HostLifecycle(new_host({"bmc": bmc}))
        lifecycle.settle()
        assert message in lifecycle.status.error_message


def test_credentials_lost_later_are_an_error_in_the_same_state() -> None:
    lifecycle = provisioned()
    lifecycle.secrets = {}
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.error_type) == ("provisioned", "registration error")
    lifecycle.secrets = {"host-0-bmc": KnownSecret("9", frozenset({"username", "password"}))}
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.error_message) == ("provisioned", "")
    assert lifecycle.status.good_credentials is not None
    assert lifecycle.status.good_credentials.credentials_version == "9"


def test_first_boot_data_is_waited_for_without_an_error_as_bmo_does() -> None:
    lifecycle = available()
    lifecycle.want(image=IMAGE, userData={"name": "first-boot"})
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.error_message) == ("provisioning", "")
    assert lifecycle.events == ["ProvisioningWaiting"]
    lifecycle.secrets = {**lifecycle.secrets, "first-boot": KnownSecret("1", frozenset({"value"}))}
    lifecycle.settle()
    assert lifecycle.state == "provisioned"


def test_secrets_of_other_namespaces_are_refused() -> None:
    lifecycle = available()
    lifecycle.want(image=IMAGE, userData={"name": "first-boot", "namespace": "elsewhere"})
    lifecycle.run(1)
    assert lifecycle.status.error_type == "provisioning error"
    assert "cross-namespace" in lifecycle.status.error_message


def test_a_missing_registry_secret_is_a_provisioning_error() -> None:
    lifecycle = available()
    lifecycle.want(image={"url": "oci://registry.example/os:1", "ociAuthSecretName": "pull"})
    lifecycle.run(1)
    assert (lifecycle.status.error_type, lifecycle.status.error_message) == ("provisioning error", "OCI image auth secret pull not found")
    lifecycle.secrets = {**lifecycle.secrets, "pull": KnownSecret("1", frozenset({".dockerconfigjson"}))}
    lifecycle.settle()
    assert lifecycle.state == "provisioned"


@pytest.mark.parametrize(
    ("says", "status", "reason"),
    [(None, "True", "Healthy"), ("Warning", "False", "Warning"), ("Critical", "False", "CriticalError"), ("?", "Unknown", "Unknown")],
)
def test_the_health_is_what_the_annotation_says(says: str | None, status: str, reason: str) -> None:
    lifecycle = available()
    lifecycle.annotate(**({"simulator.metal3.io/health": says} if says else {}))
    lifecycle.settle()
    found = {c.type: (c.status, c.reason) for c in lifecycle.status.conditions or ()}
    assert found["Healthy"] == (status, reason)
    assert lifecycle.state == "available"


def test_conditions_are_about_the_generation_that_was_looked_at() -> None:
    lifecycle = available()
    lifecycle.host.metadata.generation = 7
    lifecycle.want(image=IMAGE)
    lifecycle.settle()
    assert {c.observed_generation for c in lifecycle.status.conditions or ()} == {7}
