"""Check what tenants learn of a real host: never anything of the owner's, whatever the host
contains."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.host import HostReport
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.machineerrors import EMPTYING_FAILED, ERRORS, UNKNOWN_ERROR
from controllers.providers.baremetalhost.report import (
    MOST_WORDS,
    Policy,
    availability,
    dirty_for,
    is_empty,
    provider_host,
    stalled,
)
from tests.unit.controllers.clusters import bmh

OPEN = Policy(re.compile(".*"), re.compile(".*"))
NONE = Policy()
EAST, WEST = Identity("east"), Identity("west")


def host(**status: Any) -> dict[str, Any]:
    made = bmh("h1")
    made["metadata"] |= {"uid": "u1", "namespace": "metal3"}
    made["status"] |= status
    return made


def annotated(**annotations: str) -> dict[str, Any]:
    made = host()
    made["metadata"]["annotations"] = {key.replace("__", "/").replace("_", "."): value for key, value in annotations.items()}
    return made


def leaks(report: Any) -> str:
    return orjson.dumps(report).decode()


def test_the_report_fits_the_api() -> None:
    HostReport.decode(provider_host(host(), OPEN).report)


def test_a_label_is_not_hidden_because_a_secrets_name_is_part_of_it() -> None:
    made = host()
    made["spec"]["bmc"]["credentialsName"] = "worker"
    made["metadata"]["labels"] = {"cluster.x-k8s.io/worker": "a", "role": "worker-small", "secret": "worker"}
    assert provider_host(made, OPEN).report["labels"] == {"cluster.x-k8s.io/worker": "a", "role": "worker-small"}


def test_labels_and_annotations_pass_by_policy_only() -> None:
    assert "labels" not in provider_host(host(), NONE).report
    assert provider_host(host(), OPEN).report["labels"] == {"size": "m"}
    assert provider_host(host(), OPEN).report["annotations"] == {"owner/rack": "r1"}
    assert "annotations" not in provider_host(host(), Policy(annotations=re.compile("owner"))).report, "the whole key has to match"


@pytest.mark.parametrize(
    "key",
    [
        "baremetalhost.metal3.io/status",
        "inspect.metal3.io",
        "inspect.metal3.io/hardwaredetails",
        "kubectl.kubernetes.io/last-applied-configuration",
        "reboot.metal3.io",
        "reboot.metal3.io/x",
        "workload.metal3.io/dirty-for",
    ],
)
def test_the_owners_annotations_never_pass(key: str) -> None:
    made = host()
    made["metadata"]["annotations"] = {key: "x"}
    assert "annotations" not in provider_host(made, OPEN).report


def test_unhealthy_passes_without_its_text() -> None:
    made = host()
    made["metadata"]["annotations"] = {"capm3.metal3.io/unhealthy": "canary text"}
    assert provider_host(made, NONE).report["annotations"] == {"capm3.metal3.io/unhealthy": ""}


texts = st.text(alphabet="abc ./:@-", max_size=20)
secrets = st.from_regex(r"[a-z]{3,8}canary[a-z]{1,4}", fullmatch=True)
places = st.sampled_from(
    ["address", "credentialsName", "good", "tried", "preprov", "lldp", "annotation", "label", "id", "consumer", "description", "userData"]
)


@given(secrets, places, st.sampled_from(["", "provisioning error", "registration error", "power management error"]), texts, texts)
def test_no_secret_leaks_from_anywhere(secret: str, place: str, error: str, before: str, after: str) -> None:
    made = host(errorMessage="x")
    spec, status = made["spec"], made["status"]
    match place:
        case "address":
            spec["bmc"]["address"] = f"ipmi://{secret}:623"
        case "credentialsName":
            spec["bmc"]["credentialsName"] = secret
        case "good" | "tried":
            status[f"{place}Credentials"] = {"credentials": {"name": secret, "namespace": "metal3"}}
        case "preprov":
            spec["preprovisioningNetworkDataName"] = secret
        case "lldp":
            status["hardware"]["nics"][0]["lldp"] = {"switchSystemName": secret}
        case "annotation":
            made["metadata"]["annotations"] = {"baremetalhost.metal3.io/x": secret}
        case "label":
            spec["bmc"]["address"] = f"ipmi://{secret}"
            made["metadata"]["labels"] = {"bmc": f"{secret}.example"}
        case "id":
            status["provisioning"]["ID"] = secret
        case "consumer":
            spec["consumerRef"] = {"kind": "Metal3Machine", "name": secret, "namespace": secret}
            spec["image"] = {"url": f"http://{secret}"}
            status["provisioning"]["image"] = {"url": f"http://{secret}"}
        case "description":
            spec["description"] = secret
        case "userData":
            spec["userData"] = {"name": secret, "namespace": "metal3"}
    known = place in {"address", "credentialsName", "good", "tried", "preprov"}
    status["errorType"] = error
    status["errorMessage"] = f"{before} {secret.upper() if len(before) % 2 else secret} {after}" if known else "broken"
    assert secret not in leaks(provider_host(made, OPEN).report).lower()


REAL_WORDS = [
    "Image provisioning failed (url: http://i/x, checksum: 61ba): Validation of image href http://i/x failed, reason: Got HTTP code 403",
    "Failed to get power state for node 23d4fd0b-canary. Error: HTTP GET http://10.0.0.1/redfish/v1 returned code 401 Incorrect password",
    "The deploying state can't be resumed by conductor canary-conductor. Moving to fail state.",
    "provisioning failed 1 times, retry limit (1) reached; change image or reset provisioningFailCount to retry",
    "neighbour bmc-1.canary login root passphrase canary; pwd=canary; Basic canary; http%3A%2F%2F10.0.0.9; root/canary",
]
KINDS = [*ERRORS, "an error of a later version", "", None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", REAL_WORDS)
@pytest.mark.parametrize("state", ["provisioning", "deprovisioning", "available"])
def test_of_an_error_tenants_read_a_sentence_and_the_owner_its_words(kind: str | None, words: str, state: str) -> None:
    made = host(errorType=kind, errorMessage=words, provisioning={"state": state, "ID": "x"})
    reported = provider_host(made, OPEN)
    sentence = reported.report["status"]["errorMessage"].partition("; it has failed")[0]
    assert sentence in {*ERRORS.values(), EMPTYING_FAILED, UNKNOWN_ERROR}
    assert reported.error == words
    assert not any(word in str(reported.report) for word in ("canary", "conductor", "403", "401", "provisioningFailCount", "10.0.0"))
    assert reported.reason == "HostError"


def test_the_owner_s_host_repeats_so_many_characters() -> None:
    reported = provider_host(host(errorType="provisioning error", errorMessage="x" * 100_000), OPEN)
    assert len(reported.error) == MOST_WORDS


def test_no_error_is_no_sentence() -> None:
    assert provider_host(host(errorType="registration error"), OPEN).report["status"]["errorMessage"] == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metadata": {"deletionTimestamp": "x"}}, "Deleting"),
        ({"metadata": {"annotations": {"workload.metal3.io/quarantined": "a/b"}}}, "Quarantined"),
        ({"metadata": {"annotations": {"baremetalhost.metal3.io/paused": ""}}}, "Paused"),
        ({"metadata": {"annotations": {"baremetalhost.metal3.io/detached": ""}}}, "Detached"),
        ({"metadata": {"annotations": {"capi.metal3.io/unhealthy": ""}}}, "Unhealthy"),
        ({"spec": {"consumerRef": {"kind": "Metal3Machine", "name": "m"}}}, "InUse"),
        ({"spec": {"externallyProvisioned": True}}, "ExternallyProvisioned"),
        ({"spec": {"image": {"url": "x"}}}, "InUse"),
        ({"status": {"errorMessage": "x"}}, "HostError"),
        ({"status": {"errorType": "an error of a later BMO"}}, "HostError"),
        ({"status": {"operationalStatus": "error"}}, "HostError"),
        ({"status": {"operationalStatus": "melting"}}, "UnknownStatus"),
        ({"status": {"provisioning": {"state": "inspecting"}}}, "NotReady"),
        ({"status": {}}, "NotReady"),
        ({"metadata": {"annotations": {"workload.metal3.io/dirty-for": "other/team-a"}}}, "Dirty"),
        ({"metadata": {"labels": {"workload.metal3.io/workload-uid": "u"}}}, "Releasing"),
    ],
)
def test_reasons_why_a_host_is_unavailable(change: dict[str, Any], reason: str) -> None:
    made = host()
    for section, values in change.items():
        made[section] = {**made[section], **values} if values or section != "status" else {}
    available, why, message = availability(made)
    assert (available, why) == (False, reason)
    assert message


def test_an_available_host() -> None:
    assert availability(host()) == (True, "", "")
    assert is_empty(host())
    assert not is_empty(host(provisioning={"state": "available", "image": {"url": "x"}}))


def test_dirty_marks_of_other_management_clusters_are_ignored() -> None:
    made = host()
    made["metadata"]["annotations"] = {"workload.metal3.io/dirty-for": "east/team-a"}
    assert dirty_for(made, EAST) == "team-a"
    assert dirty_for(made, WEST) is None
    assert availability(made, EAST)[0]
    assert not availability(made, WEST)[0]


def test_hosts_of_another_management_clusters_workloads_are_none_of_our_orphans() -> None:
    made = host()
    made["metadata"] |= {"labels": {"workload.metal3.io/workload-uid": "u"}, "annotations": {"workload.metal3.io/management": "east"}}
    made["spec"]["consumerRef"] = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "namespace": "team-a", "name": "w"}
    ours, theirs = provider_host(made, Policy(identity=EAST)), provider_host(made, Policy(identity=WEST))
    assert ours.consumer is not None
    assert ours.consumer.workload_uid == "u"
    assert theirs.consumer is not None
    assert theirs.consumer.workload_uid == ""
    assert not theirs.available
    assert not theirs.leftovers
    made["status"]["provisioning"]["image"] = {"url": "http://images.example/theirs.qcow2"}
    assert "theirs.qcow2" in leaks(provider_host(made, Policy(identity=EAST)).report)
    assert "theirs.qcow2" not in leaks(provider_host(made, Policy(identity=WEST)).report)


@pytest.mark.parametrize("word", ["paused", "detached"])
def test_stalled_names_the_owner_if_the_owner_holds_the_host(word: str) -> None:
    made = host()
    assert stalled(made) == ""
    made["metadata"]["annotations"] = {f"baremetalhost.metal3.io/{word}": "secret reason"}
    assert word in stalled(made)
    assert "ask them" in stalled(made)
    assert "secret reason" not in stalled(made)
