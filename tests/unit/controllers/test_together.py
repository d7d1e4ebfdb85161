"""Run all controllers between two clusters in memory, and check what a tenant and an owner see."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.host import host_name, view_uid
from apiserver.client.errors import BadConfig
from controllers import fleetreport
from controllers.kinds import IN_USE_FINALIZER
from controllers.run import Health, run_controllers
from controllers.workloadclass.controller import in_use
from tests.unit.controllers.claiming import bind
from tests.unit.controllers.clusters import (
    BMH,
    CANARY,
    CLASSES,
    EVENTS,
    HOSTS,
    NAMESPACES,
    SECRETS,
    WORKLOADS,
    TwoClusters,
    bmh,
    controllers,
    secret,
    workload,
    workload_class,
)
from tests.unit.controllers.fakeapi import Address, Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web


async def test_from_nothing_to_running_and_back(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="#cloud-config"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: clusters.phase("web") == "Running")
        assert clusters.condition("web", "Ready")["status"] == "True"
        real = clusters.host("h1")
        uid = clusters.workload("web")["metadata"]["uid"]
        assert real["spec"]["consumerRef"] == {
            "apiVersion": "workload.metal3.io/v1alpha1",
            "kind": "Workload",
            "namespace": "team-a",
            "name": "web",
        }
        assert real["metadata"]["labels"]["workload.metal3.io/workload-uid"] == uid
        assert real["spec"]["automatedCleaningMode"] == "metadata"
        copy = clusters.hardware.get(SECRETS, real["spec"]["userData"]["name"], "metal3")
        assert base64.b64decode(copy["data"]["userData"]) == b"#cloud-config"
        metadata = clusters.hardware.get(SECRETS, real["spec"]["metaData"]["name"], "metal3")
        assert orjson.loads(base64.b64decode(metadata["data"]["metaData"])) == {
            "uuid": view_uid(real["metadata"]["uid"], "team-a"),
            "metal3-name": "h1",
            "metal3-namespace": "team-a",
            "local-hostname": "h1",
            "local_hostname": "h1",
            "name": "h1",
        }
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        real = clusters.host("h1")
        assert not {"consumerRef", "image", "userData", "metaData"} & set(real["spec"])
        assert "workload.metal3.io/workload-uid" not in real["metadata"]["labels"]
        assert clusters.hardware.all(SECRETS) == []
        await eventually(
            lambda: clusters.management.get(HOSTS, host_name(real["metadata"]["uid"]))["spec"]["offers"] == ["team-a", "team-b"]
        )
        await eventually(lambda: {"Bound", "Provisioning", "Running"} <= set(clusters.reasons()))


async def test_nothing_of_the_owner_gets_into_the_management_cluster(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.bmo.hold = True
        clusters.hardware.edit(
            BMH,
            "h1",
            {"status": {"errorType": "provisioning error", "errorMessage": "canary-bmc-h1 at 10.1.2.3 refused canary-cred-h1"}},
            "metal3",
        )
        await eventually(lambda: clusters.workload("web")["status"].get("errorMessage"))
        await eventually(lambda: all(host["status"].get("errorMessage") for host in clusters.management.all(HOSTS)))
        (record,) = clusters.management.all(HOSTS)
        assert record["status"].pop("errorMessage") == "canary-bmc-h1 at 10.1.2.3 refused canary-cred-h1", "the owner's to read"
        for found in (*(clusters.management.all(resource) for resource in (WORKLOADS, EVENTS, CLASSES)), record):
            text = orjson.dumps(found).decode()
            assert CANARY not in text
            assert "10.1.2.3" not in text


async def test_a_clusters_kubeconfig_is_not_sent_to_a_machine(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, secret("web-kubeconfig", "team-a", value="canary-admin"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "web-kubeconfig"}))
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SecretNotAllowed")
        assert "image" not in clusters.host("h1")["spec"]
        assert clusters.hardware.all(SECRETS) == []


async def test_a_selector_that_takes_too_long_is_refused_and_others_continue(clusters: TwoClusters) -> None:
    huge = {"matchExpressions": [{"key": f"k{n}", "operator": "NotIn", "values": ["a"]} for n in range(2_000)]}
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("greedy", hostSelector=huge))
        await eventually(lambda: clusters.condition("greedy", "Bound")["reason"] == "TooComplex")
        clusters.management.put(WORKLOADS, workload("web", namespace="team-b"))
        await eventually(lambda: clusters.phase("web", "team-b") == "Running")


async def test_a_missing_secret_is_named_and_resolves_itself(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "later"}))
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SecretNotFound")
        assert "later" in clusters.condition("web", "Ready")["message"]
        assert "image" not in clusters.host("h1")["spec"], "nothing runs without its user data"
        clusters.management.put(SECRETS, secret("later", "team-a", value="data"))
        await eventually(lambda: clusters.phase("web") == "Running")
        copy = clusters.hardware.get(SECRETS, clusters.host("h1")["spec"]["userData"]["name"], "metal3")
        assert base64.b64decode(copy["data"]["userData"]) == b"data"
        clusters.management.put(SECRETS, secret("later", "team-a", value="changed"))

        def synced() -> bool:
            copy = clusters.hardware.get(SECRETS, clusters.host("h1")["spec"]["userData"]["name"], "metal3")
            return base64.b64decode(copy["data"]["userData"]) == b"changed"

        await eventually(synced)


@pytest.mark.parametrize(
    ("field", "content", "words"), [("userData", {"user-data": "x"}, "'userData'"), ("metaData", {"metaData": "[a]"}, "object")]
)
async def test_a_secret_without_its_key_is_a_warning_and_nothing_begins(
    clusters: TwoClusters, field: str, content: dict[str, str], words: str
) -> None:
    clusters.management.put(SECRETS, secret("boot", "team-a", **content))
    reference: dict[str, Any] = {field: {"name": "boot"}}
    clusters.management.put(WORKLOADS, workload("web", **reference))

    def shown(type_: str) -> list[str]:
        events = [event for event in clusters.management.all(EVENTS) if event["involvedObject"]["name"] == "web"]
        return [event["reason"] for event in events if event["type"] == type_]

    async with controllers(clusters):
        await eventually(lambda: clusters.condition("web", "Ready")["reason"] == "InvalidSecret")
        assert clusters.phase("web") == "Bound", "nothing is being installed"
        for word in ('"boot"', f"spec.{field}", words):
            assert word in clusters.condition("web", "Ready")["message"]
        await eventually(lambda: "InvalidSecret" in shown("Warning"))
        assert "Provisioning" not in shown("Normal")
        clusters.management.put(SECRETS, secret("boot", "team-a", **{field: "a: b"}))
        await eventually(lambda: clusters.phase("web") == "Running")


async def test_a_failed_installation_is_reported_until_it_succeeds(clusters: TwoClusters) -> None:
    clusters.bmo.hold = True

    def real(**status: Any) -> None:
        clusters.hardware.edit(BMH, "h1", {"status": status}, "metal3")

    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: "image" in clusters.host("h1")["spec"])
        real(errorType="provisioning error", errorMessage="canary", provisioning={"state": "provisioning"})
        await eventually(lambda: clusters.phase("web") == "Failed")
        said = clusters.condition("web", "Ready")
        assert (said["reason"], "canary" in said["message"]) == ("ProvisioningFailed", False)
        real(errorType=None, errorMessage="", provisioning={"state": "deprovisioning"})
        await eventually(lambda: clusters.phase("web") == "Provisioning")
        assert clusters.condition("web", "Ready")["message"] == said["message"]
        real(provisioning={"state": "available"})
        clusters.bmo.hold = False
        real(hardwareProfile="x")
        await eventually(lambda: clusters.condition("web", "Ready")["status"] == "True")


async def test_a_name_leads_to_no_other_namespaces_secret(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, secret("theirs", "team-b", userData="theirs"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "../../team-b/secrets/theirs"}))
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SecretNotFound")
    assert "image" not in clusters.host("h1")["spec"]


OCI = {"url": "oci://registry.example.com/os:1", "ociAuthSecretName": "pull"}


def _pull_secret(name: str, namespace: str, password: str, **more: Any) -> dict[str, Any]:
    """Return a secret with credentials for the registry of OCI, and for another one."""
    auths = {host: {"username": "u", "password": password} for host in ("registry.example.com", "other.example.com")}
    made = secret(name, namespace, **{".dockerconfigjson": orjson.dumps({"auths": auths, "credsStore": "evil"}).decode()})
    return {**made, "type": "kubernetes.io/dockerconfigjson", **more}


def _pulled_with(clusters: TwoClusters, uid: str) -> dict[str, Any]:
    """Return the content of the copied registry secret."""
    copy = clusters.hardware.get(SECRETS, f"workload-{uid}-registry", "metal3")
    assert copy["type"] == "kubernetes.io/dockerconfigjson"
    found: dict[str, Any] = orjson.loads(base64.b64decode(copy["data"][".dockerconfigjson"]))
    return found


async def test_a_registrys_credentials_follow_the_image_and_end_with_it(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, _pull_secret("pull", "team-a", "first"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", image=OCI))
        await eventually(lambda: clusters.phase("web") == "Running")
        uid = clusters.workload("web")["metadata"]["uid"]
        assert clusters.host("h1")["spec"]["image"] == {**OCI, "ociAuthSecretName": f"workload-{uid}-registry"}
        only = {"registry.example.com": {"auth": base64.b64encode(b"u:first").decode()}}
        assert _pulled_with(clusters, uid) == {"auths": only}, "of this registry alone, and no helper program"
        clusters.management.put(SECRETS, _pull_secret("pull", "team-a", "second"))
        await eventually(lambda: base64.b64encode(b"u:second").decode() in str(_pulled_with(clusters, uid)))
        clusters.management.edit(WORKLOADS, "web", {"spec": {"image": {"ociAuthSecretName": None}}}, "team-a")
        await eventually(lambda: clusters.hardware.find(SECRETS, f"workload-{uid}-registry", "metal3") is None)
        await eventually(lambda: clusters.host("h1")["spec"]["image"] == {"url": OCI["url"]})
        clusters.management.edit(WORKLOADS, "web", {"spec": {"image": OCI}}, "team-a")
        await eventually(lambda: clusters.hardware.find(SECRETS, f"workload-{uid}-registry", "metal3") is not None)
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert clusters.hardware.all(SECRETS) == []
        assert "image" not in clusters.host("h1")["spec"]


@pytest.mark.parametrize(
    ("there", "name", "reason"),
    [
        ([], "pull", "SecretNotFound"),
        ([_pull_secret("theirs", "team-b", "x")], "theirs", "SecretNotFound"),
        ([_pull_secret("theirs", "team-b", "x")], "../../team-b/secrets/theirs", "SecretNotFound"),
        ([_pull_secret("pull", "team-a", "x", type="Opaque")], "pull", "SecretNotAllowed"),
        ([_pull_secret("web-kubeconfig", "team-a", "x")], "web-kubeconfig", "SecretNotAllowed"),
        ([{**secret("pull", "team-a", other="x"), "type": "kubernetes.io/dockerconfigjson"}], "pull", "InvalidSecret"),
    ],
)
async def test_a_name_leads_to_no_secret_but_a_registrys_own(clusters: TwoClusters, there: list[Any], name: str, reason: str) -> None:
    for found in there:
        clusters.management.put(SECRETS, found)
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", image={**OCI, "ociAuthSecretName": name}))
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == reason)
        assert "spec.image.ociAuthSecretName" in clusters.condition("web", "Synchronized")["message"]
    assert "image" not in clusters.host("h1")["spec"]
    assert clusters.hardware.all(SECRETS) == []


async def test_credentials_that_the_image_does_not_need_stay_with_the_tenant(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, _pull_secret("pull", "team-a", "x"))
    async with controllers(clusters):
        image = {"url": "http://images.example/os.qcow2", "checksum": "0" * 32, "ociAuthSecretName": "pull"}
        clusters.management.put(WORKLOADS, workload("web", image=image))
        await eventually(lambda: clusters.phase("web") == "Running")
    assert "ociAuthSecretName" not in clusters.host("h1")["spec"]["image"]
    assert not [found for found in clusters.hardware.all(SECRETS) if found["metadata"]["name"].endswith("-registry")]


async def test_power_follows_also_when_the_secret_has_gone(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.management.remove(SECRETS, "boot", "team-a")
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SecretNotFound")
        clusters.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: clusters.host("h1")["spec"]["online"] is False)
        await eventually(lambda: clusters.phase("web") == "Stopped")
        assert clusters.host("h1")["spec"]["image"]["url"] == "http://images.example/os.qcow2"


async def test_reasons_why_no_host_fits_are_counted(clusters: TwoClusters) -> None:
    clusters.hardware.put(BMH, bmh("h2", ram_gib=32))
    async with controllers(clusters):
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 2)
        await eventually(lambda: all(host.get("status") for host in clusters.management.all(HOSTS)))
        clusters.management.put(WORKLOADS, workload("big", requirements={"ram": "128Gi"}))
        clusters.management.put(WORKLOADS, workload("picky", hostSelector={"matchLabels": {"gpu": "yes"}}))
        counted = "0/2 hosts are available to this namespace: 2 "
        await eventually(lambda: clusters.condition("big", "Bound")["message"].startswith(f"{counted}have less than 128Gi of memory; "))
        await eventually(lambda: clusters.condition("picky", "Bound")["message"].startswith(f"{counted}lack label gpu=yes; "))
        assert clusters.phase("big") == "Pending"
        clusters.hardware.put(BMH, bmh("h3", ram_gib=256))
        await eventually(lambda: clusters.phase("big") == "Running")
        assert clusters.claimed("big") == "h3"
        mixed = "0/3 hosts are available to this namespace: 2 lack label gpu=yes, 1 is its own already; "
        await eventually(lambda: clusters.condition("picky", "Bound")["message"].startswith(mixed))


async def test_problems_of_a_class_are_reported_and_resolve_themselves(clusters: TwoClusters) -> None:
    clusters.management.remove(SECRETS, "hardware", "system")

    def connected() -> dict[str, str]:
        conditions = clusters.management.get(CLASSES, "metal")["status"]["conditions"]
        return next(item for item in conditions if item["type"] == "Connected")

    async with controllers(clusters):
        await eventually(lambda: connected()["reason"] == "SecretNotFound")
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig="nonsense"))
        await eventually(lambda: connected()["reason"] == "BadKubeconfig")
        config = orjson.dumps(clusters.hardware.kubeconfig).decode()
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        await eventually(lambda: connected()["status"] == "True")
        assert "canary" not in orjson.dumps(clusters.management.all(CLASSES)).decode()
        clusters.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namspace": "typo"}}})
        await eventually(lambda: connected()["reason"] == "BadParameters")
        assert "namspace" in connected()["message"]
        clusters.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namspace": None}, "provisioner": "nobody/knows"}})
        await eventually(lambda: connected()["reason"] == "UnknownProvisioner")
        assert "metal3.io/baremetalhost" in connected()["message"]
        promise = {"provisioner": "metal3.io/baremetalhost", "cleaning": {"mode": "full"}}
        clusters.management.edit(CLASSES, "metal", {"spec": promise})
        await eventually(lambda: connected()["reason"] == "CleaningUnsupported")
        clusters.management.edit(CLASSES, "metal", {"spec": {"cleaning": {"mode": "metadata"}}})
        await eventually(lambda: connected()["status"] == "True")


async def test_a_class_without_a_source_is_not_ready_for_its_tenants_and_says_no_more(clusters: TwoClusters) -> None:
    clusters.management.remove(SECRETS, "hardware", "system")
    clusters.management.put(WORKLOADS, workload("web"))
    clusters.management.put(WORKLOADS, workload("pinned", hostRef={"name": "h1"}))

    def bound(name: str) -> dict[str, Any]:
        return clusters.condition(name, "Bound")

    async with controllers(clusters):
        await eventually(lambda: bound("web")["reason"] == bound("pinned")["reason"] == "ClassNotReady")
        assert "metal" in bound("web")["message"]
        for words in ("secret", "hardware", "system", "spec.credentials"):
            assert words not in bound("web")["message"], "that is the owner's"
        assert clusters.condition("web", "Stalled")["status"] == "", "it may yet succeed by itself"
        config = orjson.dumps(clusters.hardware.kubeconfig).decode()
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        await eventually(lambda: clusters.phase("web") == "Running" or clusters.phase("pinned") == "Running")


async def test_no_host_fits_is_reported_with_the_class_being_disconnected(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("big", requirements={"ram": "128Gi"}))
        await eventually(lambda: clusters.condition("big", "Bound")["reason"] == "NoHostFits")
        clusters.management.remove(SECRETS, "hardware", "system")
        await eventually(lambda: "not connected" in clusters.condition("big", "Bound")["message"])
        assert clusters.condition("big", "Bound")["reason"] == "NoHostFits"
        config = orjson.dumps(clusters.hardware.kubeconfig).decode()
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        await eventually(lambda: "not connected" not in clusters.condition("big", "Bound")["message"])


async def test_the_log_has_bindings_releases_failing_classes_and_refused_secrets(
    clusters: TwoClusters, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "controllers")

    def logged(level: str, words: str) -> bool:
        return any(record.levelname == level and words in record.getMessage() for record in caplog.records)

    clusters.management.put(SECRETS, secret("c-kubeconfig", "team-a", userData="x"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "c-kubeconfig"}))
        await eventually(lambda: logged("INFO", f"workload team-a/web: Bound: a host was found (host {clusters.host_object('h1')})"))
        await eventually(lambda: logged("WARNING", 'workload team-a/web: SecretNotAllowed: the secret "c-kubeconfig"'))
        clusters.request_deletion("web")
        await eventually(lambda: logged("INFO", f"workload team-a/web: released host {clusters.host_object('h1')}"))
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig="nonsense"))
        await eventually(lambda: logged("WARNING", "workloadclass metal: BadKubeconfig: "))
        clusters.management.remove(SECRETS, "hardware", "system")
        await eventually(lambda: logged("WARNING", "workloadclass metal: SecretNotFound: the secret system/hardware"))
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig=orjson.dumps(clusters.hardware.kubeconfig).decode()))
        await eventually(lambda: logged("INFO", "workloadclass metal: Connected: "))
    assert "canary" not in caplog.text


async def test_rotated_credentials_need_no_restart(clusters: TwoClusters) -> None:
    clusters.hardware.tokens = {"token-canary"}
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.hardware.tokens = {"fresh"}
        clusters.hardware.cut_watches()
        config = orjson.dumps(clusters.hardware.kubeconfig).decode().replace("token-canary", "fresh")
        clusters.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        clusters.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: clusters.phase("web") == "Stopped")


async def test_the_owner_taking_a_host_away_is_reported(clusters: TwoClusters) -> None:
    clusters.hardware.put(BMH, bmh("h1", consumerRef={"kind": "Metal3Machine", "name": "other", "namespace": "x"}))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.condition("web", "Bound")["message"].startswith("no host of the class is available"))
        clusters.hardware.edit(BMH, "h1", {"spec": {"consumerRef": None}}, "metal3")
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.hardware.edit(BMH, "h1", {"spec": {"consumerRef": {"kind": "Metal3Machine", "name": "thief"}}}, "metal3")
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "HostTaken")
        assert clusters.phase("web") == "Failed"
        await eventually(lambda: "HostTaken" in clusters.reasons())


async def test_a_real_host_that_goes_while_claimed_is_never_forgotten(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        name = host_name(clusters.host("h1")["metadata"]["uid"])
        clusters.hardware.remove(BMH, "h1", "metal3")
        await eventually(lambda: clusters.phase("web") == "Lost")
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"]["reason"] == "HostGone")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        await eventually(lambda: clusters.management.find(HOSTS, name) is None)


async def test_a_claim_whose_workload_vanished_is_shown_and_nothing_is_wiped(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        name = host_name(clusters.host("h1")["metadata"]["uid"])
        clusters.management.remove(WORKLOADS, "web", "team-a")
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"].get("reason") == "Abandoned")
        message = clusters.management.get(HOSTS, name)["status"]["message"]
        assert "team-a/web" in message
        assert "spec.claimRef" in message
        assert clusters.host("h1")["spec"]["image"]


async def test_a_mark_made_just_before_the_release_is_not_lost(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        name = host_name(clusters.host("h1")["metadata"]["uid"])
    # No controller runs that could pass it on before the Workload is deleted.
    clusters.management.edit(HOSTS, name, {"spec": {"view": {"annotations": {"capm3.metal3.io/unhealthy": ""}}}})
    clusters.request_deletion("web")
    async with controllers(clusters):
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert "capm3.metal3.io/unhealthy" in clusters.host("h1")["metadata"]["annotations"]


async def test_trouble_upstream_loses_nothing(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "canary-secret-text")
        clusters.hardware.cut_watches()
        clusters.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SourceUnavailable")
        assert len(clusters.management.all(HOSTS)) == 1
        assert CANARY not in orjson.dumps(clusters.management.all(WORKLOADS)).decode()
        clusters.hardware.fail = lambda verb, path: None
        await eventually(lambda: clusters.phase("web") == "Stopped")


async def test_retain_leaves_the_host_running_and_quarantined(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": True}}})
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", reclaimPolicy="Retain"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        real = clusters.host("h1")
        assert real["status"]["provisioning"]["state"] == "provisioned"
        assert real["metadata"]["annotations"]["workload.metal3.io/quarantined"] == "team-a/web"
        name = host_name(real["metadata"]["uid"])
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"]["reason"] == "Quarantined")


async def test_retain_is_not_honoured_where_the_class_does_not_allow_it_any_more(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": True}}})
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", reclaimPolicy="Retain"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": False}}})
        name = host_name(clusters.host("h1")["metadata"]["uid"])
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert "workload.metal3.io/quarantined" not in clusters.host("h1")["metadata"].get("annotations", {})
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"].get("available"))


async def test_retain_waits_for_a_class_that_allows_it(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", reclaimPolicy="Retain"))
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "RetainNotAllowed")
        assert "tenantMayRetain" in clusters.condition("web", "Bound")["message"]
        clusters.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": True}}})
        await eventually(lambda: clusters.phase("web") == "Running")


async def test_a_missing_class_is_reported_in_ready_and_ends_waits_until_it_is_there(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", className="later"))
        await eventually(lambda: clusters.condition("web", "Stalled")["reason"] == "ClassNotFound")
        ready, bound = clusters.condition("web", "Ready"), clusters.condition("web", "Bound")
        assert (ready["status"], ready["reason"], ready["message"]) == ("False", bound["reason"], bound["message"])
        assert "later" in ready["message"]
        metal = clusters.management.get(CLASSES, "metal")
        clusters.management.put(CLASSES, {**metal, "metadata": {**metal["metadata"], "name": "later", "uid": "later"}})
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] != "ClassNotFound")
        assert clusters.condition("web", "Stalled")["status"] == ""


async def test_dirty_disks_stay_home(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"cleaning": {"mode": "metadata", "tenantMayDisable": True}}})
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", automatedCleaningMode="disabled"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        name = host_name(clusters.host("h1")["metadata"]["uid"])
        await eventually(lambda: clusters.management.get(HOSTS, name)["spec"]["offers"] == ["team-a"])
        clusters.management.put(WORKLOADS, workload("stranger", "team-b"))
        await eventually(lambda: "no host of the class is available" in clusters.condition("stranger", "Bound", "team-b")["message"])
        clusters.management.put(WORKLOADS, workload("again"))
        await eventually(lambda: clusters.phase("again") == "Running")
        clusters.request_deletion("again")
        await eventually(lambda: clusters.phase("stranger", "team-b") == "Running")


async def test_dirty_disks_are_not_a_later_namespaces(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"cleaning": {"mode": "metadata", "tenantMayDisable": True}}})
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", automatedCleaningMode="disabled"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.request_deletion("web")
        name = clusters.host_object("h1")
        first = clusters.management.get(NAMESPACES, "team-a")["metadata"]["uid"]
        await eventually(lambda: clusters.management.get(HOSTS, name)["spec"]["offers"] == ["team-a"])
        assert clusters.management.get(HOSTS, name)["status"]["dirtyForUID"] == first
        clusters.management.remove(NAMESPACES, "team-a")
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"]["reason"] == "Dirty")
        clusters.management.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": "team-a"}, "status": {"phase": "Active"}})
        assert clusters.management.get(NAMESPACES, "team-a")["metadata"]["uid"] != first
        clusters.management.put(WORKLOADS, workload("stranger"))
        await eventually(lambda: "no host of the class is available" in clusters.condition("stranger", "Bound")["message"])
        status = clusters.management.get(HOSTS, name)["status"]
        assert not status["available"]
        assert first in status["message"]
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"workload.metal3.io/dirty-for": None}}}, "metal3")
        await eventually(lambda: clusters.phase("stranger") == "Running")


async def test_many_at_once_get_distinct_hosts_and_no_bind_is_wasted(clusters: TwoClusters) -> None:
    for number in range(2, 41):
        clusters.hardware.put(BMH, bmh(f"h{number}", cpus=8 * (1 + number % 3)))
    async with controllers(clusters):
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == 40)
        for number in range(40):
            clusters.management.put(WORKLOADS, workload(f"w{number}", "team-a" if number % 2 else "team-b"))
        await eventually(lambda: all(wl["status"]["phase"] == "Running" for wl in clusters.management.all(WORKLOADS)))
        consumers = [real["spec"]["consumerRef"]["name"] for real in clusters.hardware.all(BMH)]
        assert len(set(consumers)) == 40
        assert clusters.management.requests["POST workloads/binding"] == 40
        assert sorted(host for host, _ in clusters.bmo.log) == sorted(f"h{number}" for number in range(1, 41))


@pytest.mark.parametrize("moment", range(0, 60, 7))
async def test_killed_anywhere_it_continues(clusters: TwoClusters, moment: int) -> None:
    """Stop the controllers after a number of requests, and let others take over, in both directions
    of a life."""
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))

    def count() -> int:
        return clusters.management.requests.total() + clusters.hardware.requests.total()

    async def until(requests: int, done: Callable[[], bool]) -> None:
        start = count()
        async with controllers(clusters):
            await eventually(lambda: count() - start >= requests or done())

    await until(moment, lambda: clusters.phase("web") == "Running")
    async with controllers(clusters):
        await eventually(lambda: clusters.phase("web") == "Running")
    clusters.request_deletion("web")
    await until(moment, lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
    async with controllers(clusters):
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert clusters.hardware.all(SECRETS) == []
        assert "consumerRef" not in clusters.host("h1")["spec"]
    assert len(clusters.bmo.log) == 1, "it was installed once"


async def test_reboots_pass_once_and_unhealthy_stays(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        name = host_name(clusters.host("h1")["metadata"]["uid"])
        wanted = {"reboot.metal3.io": "", "capm3.metal3.io/unhealthy": "", "baremetalhost.metal3.io/paused": "x"}
        clusters.management.put(BMH, {"metadata": {"name": "h1", "namespace": "team-a", "annotations": {"reboot.metal3.io": ""}}})
        clusters.management.edit(HOSTS, name, {"spec": {"view": {"annotations": wanted}}})
        await eventually(lambda: "reboot.metal3.io" in clusters.host("h1")["metadata"]["annotations"])
        assert "capm3.metal3.io/unhealthy" in clusters.host("h1")["metadata"]["annotations"]
        assert "baremetalhost.metal3.io/paused" not in clusters.host("h1")["metadata"]["annotations"]
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"reboot.metal3.io": None}}}, "metal3")
        await eventually(lambda: not clusters.management.get(BMH, "h1", "team-a")["metadata"].get("annotations"))
        clusters.management.edit(HOSTS, name, {"spec": {"view": {"annotations": {"reboot.metal3.io": None}}}})
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        annotations = clusters.host("h1")["metadata"]["annotations"]
        assert "reboot.metal3.io" not in annotations
        assert "capm3.metal3.io/unhealthy" in annotations
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"]["reason"] == "Unhealthy")


async def test_of_two_classes_that_see_the_same_hosts_the_first_keeps_them(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 1)
        second = workload_class()
        second["metadata"]["name"] = "second"
        clusters.management.put(CLASSES, second)

        def exclusive(name: str) -> str:
            conditions = clusters.management.get(CLASSES, name)["status"]["conditions"]
            return str(next(item["reason"] for item in conditions if item["type"] == "Exclusive"))

        await eventually(lambda: exclusive("second") == "HostsOverlap")
        assert exclusive("metal") == "Exclusive"
        [host] = clusters.management.all(HOSTS)
        assert host["spec"]["className"] == "metal"
        clusters.management.remove(CLASSES, "metal")
        await eventually(lambda: clusters.management.all(HOSTS)[0]["spec"]["className"] == "second")
        await eventually(lambda: exclusive("second") == "Exclusive")


def removable(clusters: TwoClusters) -> str:
    """Return what the class says about its deletion."""
    conditions = clusters.management.get(CLASSES, "metal")["status"]["conditions"]
    return next((str(item["message"]) for item in conditions if item["type"] == "Removable"), "")


async def test_a_deleted_class_stays_until_no_workload_has_a_host_of_it(clusters: TwoClusters) -> None:
    clusters.hardware.put(BMH, bmh("h2"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        class_ = clusters.management.get(CLASSES, "metal")
        assert class_["metadata"]["finalizers"] == [IN_USE_FINALIZER]
        class_["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        clusters.management.put(CLASSES, class_)
        await eventually(lambda: removable(clusters).startswith("team-a/web has a host of the class, which stays as long as it is in use"))
        assert "to keep a machine's disks, clear spec.claimRef" in removable(clusters)
        await eventually(lambda: "InUse" in clusters.reasons())
        clusters.management.put(WORKLOADS, workload("late"))
        await eventually(lambda: clusters.condition("late", "Bound")["reason"] == "ClassDeleting")
        await eventually(
            lambda: not any(host["spec"].get("offers") for host in clusters.management.all(HOSTS) if not host["spec"].get("claimRef"))
        )
        clusters.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: clusters.phase("web") == "Stopped")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        await eventually(lambda: clusters.management.find(CLASSES, "metal") is None)
        await eventually(lambda: clusters.management.all(HOSTS) == [])
        assert "consumerRef" not in clusters.host("h1")["spec"], "it was released properly"
        await eventually(lambda: clusters.condition("late", "Bound")["reason"] == "ClassNotFound")


async def test_a_class_that_was_deleted_by_force_names_the_way_out(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        class_ = clusters.management.get(CLASSES, "metal")
        clusters.management.remove(CLASSES, "metal")
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "ClassGone")
        assert "create it again" in clusters.condition("web", "Ready")["message"]
        await eventually(lambda: clusters.management.all(HOSTS)[0]["status"].get("reason") == "ClassGone")
        clusters.request_deletion("web")
        await eventually(
            lambda: "create it again" in clusters.condition("web", "Ready")["message"] and clusters.phase("web") == "Deprovisioning"
        )
        clusters.management.put(CLASSES, class_)
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)


def test_of_many_users_of_a_class_some_are_named() -> None:
    assert in_use([f"a/{number}" for number in range(7)]).startswith("a/0, a/1, a/2, a/3, a/4 and 2 more have hosts of the class")


async def test_a_workload_pinned_to_a_host(clusters: TwoClusters) -> None:
    clusters.hardware.put(BMH, bmh("h2"))
    async with controllers(clusters):
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 2)
        clusters.management.put(WORKLOADS, workload("pinned", hostRef={"name": "h2"}))
        await eventually(lambda: clusters.condition("pinned", "Bound")["reason"] == "HostNotFound")
        view = {"metadata": {"name": "h2", "namespace": "team-a"}, "status": {"provisioning": {"ID": clusters.host_object("h2")}}}
        clusters.management.put(BMH, view)
        await eventually(lambda: clusters.phase("pinned") == "Running")
        assert clusters.claimed("pinned") == "h2"
        clusters.management.put(WORKLOADS, workload("second", hostRef={"name": "h2"}))
        await eventually(lambda: clusters.condition("second", "Bound")["reason"] == "HostNotFree")
        assert clusters.condition("second", "Bound")["message"] == 'the host "h2" is claimed: it is taken as soon as it is free'


async def test_no_class_no_default_not_allowed(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"allowedNamespaces": {"names": ["team-b"]}}})
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("none", className=None))
        clusters.management.put(WORKLOADS, workload("unknown", className="gold"))
        clusters.management.put(WORKLOADS, workload("refused"))
        await eventually(lambda: clusters.condition("none", "Bound")["reason"] == "NoDefaultClass")
        await eventually(lambda: clusters.condition("unknown", "Bound")["reason"] == "ClassNotFound")
        await eventually(lambda: clusters.condition("refused", "Bound")["reason"] == "NamespaceNotAllowed")
        clusters.management.edit(CLASSES, "metal", {"spec": {"allowedNamespaces": {"names": ["team-a"]}}})
        await eventually(lambda: clusters.phase("refused") == "Running")


async def test_what_the_class_does_not_allow_gets_no_host_until_it_does(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"images": {"allow": ["https://elsewhere.example.com/"]}}})
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "ImageNotAllowed")
        assert "https://elsewhere.example.com/" in clusters.condition("web", "Bound")["message"]
        clusters.management.edit(CLASSES, "metal", {"spec": {"images": None}})
        await eventually(lambda: clusters.phase("web") == "Running")


async def test_what_the_class_allows_no_longer_is_not_written_to_the_host(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("idle", image=None))
        await eventually(lambda: clusters.phase("idle") == "Bound")
        inner = {"url": "http://169.254.169.254/latest/user-data", "checksum": "abc"}
        clusters.management.edit(WORKLOADS, "idle", {"spec": {"image": inner}}, "team-a")
        await eventually(lambda: clusters.condition("idle", "Synchronized")["reason"] == "ImageNotAllowed")
        assert "image" not in clusters.host("h1")["spec"]
        clusters.management.edit(CLASSES, "metal", {"spec": {"images": {"allow": ["http://169.254.169.254/"]}}})
        await eventually(lambda: clusters.phase("idle") == "Running")


async def test_a_workload_deleted_before_its_host_was_seen_is_still_released(clusters: TwoClusters) -> None:
    """Delay the Host's event: the finalizer must not be removed while the claim stands."""
    async with controllers(clusters):
        await eventually(lambda: clusters.management.all(HOSTS)[0]["spec"].get("offers"))
        clusters.management.fail = lambda verb, path: Failure(503, "ServiceUnavailable") if verb == "WATCH" and "/hosts" in path else None
        clusters.management.cut_watches()
        await eventually(lambda: clusters.management.requests["WATCH hosts"] >= 2)
        clusters.management.put(WORKLOADS, workload("hasty"))
        await eventually(lambda: clusters.workload("hasty")["metadata"].get("finalizers"))
        clusters.request_deletion("hasty")
        await eventually(lambda: clusters.management.requests["GET workloads"] >= 2)
        assert clusters.management.find(WORKLOADS, "hasty", "team-a") is not None
        clusters.management.fail = lambda verb, path: None
        await eventually(lambda: clusters.management.find(WORKLOADS, "hasty", "team-a") is None)
        assert not clusters.management.all(HOSTS)[0]["spec"].get("claimRef")


async def test_a_host_taken_back_by_the_owner_is_lost_and_an_orphan(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        name = clusters.host_object("h1")
        clusters.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        clusters.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        await eventually(lambda: clusters.condition("web", "Ready")["reason"] == "Lost")
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"].get("reason") == "Orphaned")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert clusters.host("h1")["spec"]["consumerRef"]["name"] == "web", "what runs there is the owner's to decide"


async def test_a_released_host_is_no_orphan_before_its_release_is_seen_of_it(clusters: TwoClusters) -> None:
    """Deliver the real host's events late, so that the Host has no claim before they are seen."""
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", image=None))
        name = await eventually(lambda: clusters.host_object("h1"))
        await eventually(lambda: clusters.management.get(HOSTS, name)["status"].get("reason") == "Claimed")
        clusters.hardware.watch_delay = 0.5
        clusters.request_deletion("web")
        await eventually(lambda: "Cleaned" in clusters.reasons())
        assert "Orphaned" not in clusters.reasons(), "the Events are written in their order"


async def test_a_host_taken_back_is_left_alone_also_before_that_is_seen_of_it(clusters: TwoClusters) -> None:
    """Deliver the Host's event after the Workload's. What is still known of the claim must be
    neither reported nor released."""
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        name, watched = clusters.host_object("h1"), clusters.management.requests["WATCH hosts"]
        clusters.management.fail = lambda verb, path: Failure(503, "ServiceUnavailable") if verb == "WATCH" and "/hosts" in path else None
        clusters.management.cut_watches()
        await eventually(lambda: clusters.management.requests["WATCH hosts"] > watched)
        clusters.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        clusters.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        clusters.management.put(WORKLOADS, workload("seen"))
        await eventually(lambda: clusters.condition("seen", "Bound")["status"] == "False")
        assert clusters.phase("web") == "Lost"
        clusters.request_deletion("web")
        clusters.management.put(WORKLOADS, workload("seen-too"))
        await eventually(lambda: clusters.condition("seen-too", "Bound")["status"] == "False")
        clusters.management.fail = lambda verb, path: None
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        assert clusters.host("h1")["spec"]["consumerRef"]["name"] == "web"
        assert "image" in clusters.host("h1")["spec"], "what runs there is the owner's to decide"


async def test_a_lost_race_for_a_host_ends_at_another(clusters: TwoClusters) -> None:
    clusters.hardware.put(BMH, bmh("h2"))
    refused: list[str] = []

    async def rival(api: FakeApi, request: web.Request, address: Address, body: dict[str, Any]) -> dict[str, Any]:
        if not refused:
            refused.append(body["target"]["name"])
            raise Failure(409, "Conflict", "the host is claimed already")
        return await bind(api, request, address, body)

    async with controllers(clusters):
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == 2)
        clusters.management.hooks["POST workloads/binding"] = rival
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        assert [clusters.host_object(clusters.claimed("web"))] != refused


async def test_a_misspelt_class_is_corrected_in_place(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", className="mteal"))
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "ClassNotFound")
        assert "correct spec.className" in clusters.condition("web", "Bound")["message"]
        clusters.management.edit(WORKLOADS, "web", {"spec": {"className": "metal"}}, "team-a")
        await eventually(lambda: clusters.phase("web") == "Running")


async def test_a_binding_that_meets_a_changed_spec_takes_no_host_and_keeps_none_from_others(clusters: TwoClusters) -> None:
    """Change the spec while the binding is on its way. The only host is not bound for the old spec,
    and stays available."""
    bindings: list[int] = []

    async def late(api: FakeApi, request: web.Request, address: Address, body: dict[str, Any]) -> dict[str, Any]:
        if not bindings:
            api.edit(WORKLOADS, "web", {"spec": {"requirements": {"cpuCount": 1000}}}, "team-a")
        bindings.append(body["metadata"]["generation"])
        return await bind(api, request, address, body)

    async with controllers(clusters):
        await eventually(lambda: any(host["spec"].get("offers") for host in clusters.management.all(HOSTS)))
        clusters.management.hooks["POST workloads/binding"] = late
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "NoHostFits")
        assert clusters.condition("web", "Bound")["observedGeneration"] == 2
        clusters.management.put(WORKLOADS, workload("other"))
        await eventually(lambda: clusters.phase("other") == "Running")
        assert bindings == [1, 1]


async def test_run_as_a_process_does_with_election_and_health(clusters: TwoClusters) -> None:
    health = Health()
    assert health.problem() == "starting"
    task = asyncio.ensure_future(run_controllers(clusters.management.kubeconfig, leader_elect=True, namespace="system", health=health))
    await asyncio.wait_for(health.started.wait(), 60)
    assert health.problem() is None
    clusters.management.put(WORKLOADS, workload("web"))
    await eventually(lambda: clusters.phase("web") == "Running")
    standby = Health()
    second = asyncio.ensure_future(run_controllers(clusters.management.kubeconfig, leader_elect=True, namespace="system", health=standby))
    await eventually(lambda: clusters.management.requests["GET leases"] >= 2)
    await eventually(lambda: standby.problem() is None)  # a waiting replica is healthy
    assert not standby.started.is_set()
    for running in (second, task):
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    lease = clusters.management.get("apis/coordination.k8s.io/v1/leases", "metal3-workloads-controllers", "system")
    assert lease["spec"]["holderIdentity"] == "", "let go of, so that the next one need not wait"


async def test_a_kubeconfig_that_cannot_work_is_reported_at_once() -> None:
    with pytest.raises(BadConfig):
        await run_controllers({"clusters": [], "contexts": [], "users": []})


def _health(status: str, reason: str) -> dict[str, Any]:
    shown = {"type": "Healthy", "status": status, "reason": reason, "message": "canary", "lastTransitionTime": "2026-05-01T10:00:00Z"}
    return {"status": {"conditions": [shown]}}


async def test_a_broken_host_is_offered_again_when_it_is_repaired_or_its_class_wants_it(clusters: TwoClusters) -> None:
    clusters.hardware.edit(BMH, "h1", _health("False", "CriticalError"), "metal3")
    name = clusters.host_object("h1")

    def seen() -> tuple[bool, str]:
        status = clusters.management.get(HOSTS, name)["status"]
        return status["available"], status.get("reason", "")

    async with controllers(clusters):
        await eventually(lambda: seen() == (False, "NotHealthy"))
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "NoHostFits")
        (row,) = fleetreport.why(clusters.workload("web"), clusters.management.all(HOSTS), "")["hosts"]
        assert row["why"] == "fits, but reports a hardware problem"
        assert "requireHealthy" in row["to_free"]
        (row,) = fleetreport.capacity(clusters.management.all(CLASSES), clusters.management.all(HOSTS))
        assert row["reasons"] == {"NotHealthy": 1}
        await eventually(lambda: clusters.management.get(CLASSES, "metal")["status"]["hosts"]["unhealthy"] == 1)
        assert clusters.management.get(HOSTS, name)["spec"].get("offers", []) == []
        clusters.management.edit(CLASSES, "metal", {"spec": {"offer": {"requireHealthy": False}}})
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.request_deletion("web")
        await eventually(lambda: clusters.management.find(WORKLOADS, "web", "team-a") is None)
        clusters.management.edit(CLASSES, "metal", {"spec": {"offer": None}})
        await eventually(lambda: seen() == (False, "NotHealthy"))
        await eventually(lambda: "chargedTo" not in clusters.management.get(HOSTS, name)["spec"])
        clusters.hardware.edit(BMH, "h1", _health("True", "Healthy"), "metal3")
        await eventually(lambda: seen() == (True, ""))


async def test_a_tenant_whose_host_breaks_keeps_it_and_learns_of_it(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.hardware.edit(BMH, "h1", _health("False", "Warning"), "metal3")
        await eventually(lambda: clusters.condition("web", "Healthy")["status"] == "False")
        await eventually(lambda: {"HostNotHealthy", "NotHealthy"} <= set(clusters.reasons()))
        assert clusters.phase("web") == "Running"
        assert clusters.host("h1")["spec"]["image"]
        assert "canary" not in str(clusters.management.all(EVENTS))
        clusters.hardware.edit(BMH, "h1", _health("True", "Healthy"), "metal3")
        await eventually(lambda: clusters.condition("web", "Healthy")["status"] == "True")
        await eventually(lambda: "HostHealthy" in clusters.reasons())
