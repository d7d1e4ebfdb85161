"""Follow the life of a host: every state and every transition between states, as in BMO."""

from __future__ import annotations

import math

import pytest

from controllers.simulator.machine import FINALIZER
from controllers.simulator.secrets import KnownSecret
from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.life import BMC, IMAGE, Life, available, new_host, provisioned


def test_from_nothing_to_available() -> None:
    life = Life()
    life.settle()
    assert life.states == ["registering", "inspecting", "preparing", "available"]
    assert life.host.metadata.finalizers == [FINALIZER]
    assert life.host.spec.architecture == "x86_64"
    status = life.status
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
    life = Life(settings=Settings(registering=1, inspecting=10, preparing=1))
    life.run(5)
    assert life.state == "inspecting"
    life.settle()
    assert life.state == "available"


def test_a_host_at_rest_costs_no_writes() -> None:
    life = available()
    before = life.writes
    assert math.isinf(life.once().wake)
    assert life.writes == before


def test_without_bmc_it_stays_unmanaged_until_it_has_one() -> None:
    life = Life(new_host({"bmc": None}))
    life.settle()
    assert (life.state, life.status.operational_status) == ("unmanaged", "discovered")
    life.want(bmc=BMC)
    life.settle()
    assert life.state == "available"


@pytest.mark.parametrize("how", [{"inspectionMode": "disabled"}, {}])
def test_inspection_can_be_turned_off(how: dict[str, str]) -> None:
    life = Life(new_host(how, annotations={} if how else {"inspect.metal3.io": "disabled"}))
    life.settle()
    assert life.states == ["registering", "preparing", "available"]
    assert life.status.hardware is None


def test_inspection_again_on_demand() -> None:
    life = available()
    life.annotate(**{"inspect.metal3.io": ""})
    life.settle()
    assert life.states == ["available", "inspecting", "preparing", "available"]
    assert "inspect.metal3.io" not in (life.host.metadata.annotations or {})


def test_an_image_is_provisioned_when_online() -> None:
    life = available({"online": False})
    assert life.status.powered_on is False
    life.want(image=IMAGE)
    life.settle()
    assert life.state == "available"
    life.want(online=True)
    life.settle()
    assert life.states == ["available", "provisioning", "provisioned"]
    assert life.powers == [False, True]
    assert life.status.provisioning.image is not None
    assert life.status.provisioning.image.url == IMAGE["url"]
    assert {c.type: c.status for c in life.status.conditions or ()}["Provisioned"] == "True"


def test_custom_deploy_is_provisioned_too() -> None:
    life = available()
    life.want(customDeploy={"method": "install_coreos"})
    life.settle()
    assert life.state == "provisioned"
    life.want(customDeploy={"method": "other"})
    life.settle()
    assert life.states == ["available", "provisioning", "provisioned", "deprovisioning", "available", "provisioning", "provisioned"]


def test_an_unset_image_deprovisions() -> None:
    life = provisioned()
    life.want(image=None, online=False)
    life.settle()
    assert life.states == ["provisioned", "deprovisioning", "available"]
    assert life.status.provisioning.image is None
    assert life.powers == [True, False]


def test_another_image_reprovisions() -> None:
    life = provisioned()
    life.want(image={**IMAGE, "url": "http://images.example/other.qcow2"})
    life.settle()
    assert life.states == ["provisioned", "deprovisioning", "available", "provisioning", "provisioned"]


def test_another_checksum_alone_does_not() -> None:
    life = provisioned()
    life.want(image={**IMAGE, "checksum": "def"})
    life.settle()
    assert life.states == ["provisioned"]


def test_cleaning_takes_longer_than_none() -> None:
    settings = Settings(deprovisioning=1, cleaning=50)
    spans = []
    for mode in ("disabled", "metadata"):
        life = available({"automatedCleaningMode": mode}, settings)
        life.want(image=IMAGE)
        life.settle()
        start = life.now
        life.want(image=None, online=False)
        life.settle()
        spans.append(life.now - start)
    assert spans == [pytest.approx(1), pytest.approx(51)]


def test_provisioning_can_be_called_off() -> None:
    life = available()
    life.want(image=IMAGE)
    life.run(1)
    assert life.state == "provisioning"
    life.want(image=None)
    life.settle()
    assert life.states == ["available", "provisioning", "deprovisioning", "available"]


def test_externally_provisioned() -> None:
    life = Life(new_host({"externallyProvisioned": True}))
    life.settle()
    assert life.states == ["registering", "externally provisioned"]
    assert life.status.powered_on
    life.want(externallyProvisioned=False, image=IMAGE)
    life.settle()
    assert life.states[-1] == "provisioned"


def test_changed_raid_prepares_again() -> None:
    life = available()
    life.want(raid={"softwareRAIDVolumes": [{"level": "1"}]})
    life.settle()
    assert life.states == ["available", "preparing", "available"]


@pytest.mark.parametrize(
    ("state", "path"),
    [
        ("provisioned", ["provisioned", "deprovisioning", "powering off before delete", "deleting"]),
        ("available", ["available", "powering off before delete", "deleting"]),
    ],
)
def test_deletion(state: str, path: list[str]) -> None:
    life = provisioned() if state == "provisioned" else available()
    life.delete()
    life.settle()
    assert life.states == path
    assert life.gone
    assert life.powers[-1] is False


def test_deletion_while_registering_is_short() -> None:
    life = Life()
    life.run(0.5)
    life.delete()
    life.settle()
    assert life.states == ["registering", "deleting"]
    assert life.gone


def test_deletion_without_credentials_goes_on() -> None:
    life = provisioned()
    life.secrets = {}
    life.delete()
    life.settle()
    assert life.gone


def test_a_paused_host_is_left_alone_deletion_included() -> None:
    life = provisioned()
    life.annotate(**{"baremetalhost.metal3.io/paused": ""})
    life.want(image=None, online=False)
    life.delete()
    before = life.writes
    life.settle()
    assert (life.states, life.writes, life.gone) == (["provisioned"], before, False)
    life.annotate(**{"baremetalhost.metal3.io/paused": None})
    life.settle()
    assert life.gone


def test_a_new_paused_host_gets_nothing() -> None:
    life = Life(new_host(annotations={"baremetalhost.metal3.io/paused": "x"}))
    life.settle()
    assert life.host.status is None
    assert life.host.metadata.finalizers is None


def test_detached_keeps_the_state() -> None:
    life = provisioned()
    life.annotate(**{"baremetalhost.metal3.io/detached": ""})
    life.want(online=False)
    life.settle()
    assert (life.state, life.status.operational_status, life.status.powered_on) == ("provisioned", "detached", True)
    life.annotate(**{"baremetalhost.metal3.io/detached": None})
    life.settle()
    assert (life.status.operational_status, life.status.powered_on) == ("OK", False)


def test_a_detached_host_is_deleted_as_it_is() -> None:
    life = provisioned()
    life.annotate(**{"baremetalhost.metal3.io/detached": ""})
    life.settle()
    life.delete()
    life.settle()
    assert life.states == ["provisioned", "deleting"]


def test_detached_deletion_can_be_delayed() -> None:
    life = provisioned()
    life.annotate(**{"baremetalhost.metal3.io/detached": '{"deleteAction":"delay"}'})
    life.delete()
    life.settle()
    assert life.states == ["provisioned"]
    assert not life.gone


def test_the_status_annotation_restores_a_moved_host() -> None:
    moved = provisioned()
    json = moved.status.model_dump_json(by_alias=True, exclude_none=True)
    life = Life(new_host({"image": IMAGE}, annotations={"baremetalhost.metal3.io/status": json}))
    life.settle()
    assert life.states == ["provisioned"]
    assert life.host.metadata.annotations == {}


def test_the_status_annotation_of_a_host_with_a_status_is_dropped() -> None:
    life = available()
    life.annotate(**{"baremetalhost.metal3.io/status": '{"provisioning":{"state":"provisioned"}}'})
    life.settle()
    assert life.states == ["available"]
    assert life.host.metadata.annotations == {}


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ({}, "secret doesn't exist The BMC secret metal3/host-0-bmc does not exist"),
        ({"host-0-bmc": KnownSecret("1", frozenset({"username"}))}, "Missing BMC connection details 'password'"),
        ({"host-0-bmc": KnownSecret("1", frozenset({"password"}))}, "Missing BMC connection detail 'username'"),
    ],
)
def test_bad_credentials_are_a_registration_error_until_they_are_good(secrets: dict[str, KnownSecret], message: str) -> None:
    life = Life()
    life.secrets = secrets
    life.settle()
    assert (life.state, life.status.error_type, life.status.operational_status) == ("registering", "registration error", "error")
    assert message in life.status.error_message
    life.secrets = {"host-0-bmc": KnownSecret("2", frozenset({"username", "password"}))}
    life.settle()
    assert life.state == "available"
    assert (life.status.error_type, life.status.error_message, life.status.error_count) == (None, "", 0)


def test_a_missing_credentials_name_and_address() -> None:
    for bmc, message in (
        ({"address": "x", "credentialsName": ""}, "No BMC CredentialsName"),
        ({**BMC, "address": ""}, "Empty BMC address"),
    ):
        life = Life(new_host({"bmc": bmc}))
        life.settle()
        assert message in life.status.error_message


def test_credentials_lost_later_are_an_error_in_the_same_state() -> None:
    life = provisioned()
    life.secrets = {}
    life.settle()
    assert (life.state, life.status.error_type) == ("provisioned", "registration error")
    life.secrets = {"host-0-bmc": KnownSecret("9", frozenset({"username", "password"}))}
    life.settle()
    assert (life.state, life.status.error_message) == ("provisioned", "")
    assert life.status.good_credentials is not None
    assert life.status.good_credentials.credentials_version == "9"


def test_first_boot_data_is_waited_for_without_an_error_as_bmo_does() -> None:
    life = available()
    life.want(image=IMAGE, userData={"name": "first-boot"})
    life.settle()
    assert (life.state, life.status.error_message) == ("provisioning", "")
    assert life.events == ["ProvisioningWaiting"]
    life.secrets = {**life.secrets, "first-boot": KnownSecret("1", frozenset({"value"}))}
    life.settle()
    assert life.state == "provisioned"


def test_secrets_of_other_namespaces_are_refused() -> None:
    life = available()
    life.want(image=IMAGE, userData={"name": "first-boot", "namespace": "elsewhere"})
    life.run(1)
    assert life.status.error_type == "provisioning error"
    assert "cross-namespace" in life.status.error_message


def test_a_missing_registry_secret_is_a_provisioning_error() -> None:
    life = available()
    life.want(image={"url": "oci://registry.example/os:1", "ociAuthSecretName": "pull"})
    life.run(1)
    assert (life.status.error_type, life.status.error_message) == ("provisioning error", "OCI image auth secret pull not found")
    life.secrets = {**life.secrets, "pull": KnownSecret("1", frozenset({".dockerconfigjson"}))}
    life.settle()
    assert life.state == "provisioned"
