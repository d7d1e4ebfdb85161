"""Run all controllers between two clusters in memory, and check what a tenant and an owner see."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.host import host_name, view_uid
from apiserver.client.errors import BadConfig
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
    two_clusters,
    workload,
    workload_class,
)
from tests.unit.controllers.fakeapi import Address, Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web


@pytest.fixture
async def here() -> AsyncIterator[TwoClusters]:
    async with two_clusters() as made:
        made.hardware.put(BMH, bmh("h1"))
        yield made


async def test_from_nothing_to_running_and_back(here: TwoClusters) -> None:
    here.management.put(SECRETS, secret("boot", "team-a", userData="#cloud-config"))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: here.phase("web") == "Running")
        assert here.condition("web", "Ready")["status"] == "True"
        real = here.host("h1")
        uid = here.workload("web")["metadata"]["uid"]
        assert real["spec"]["consumerRef"] == {
            "apiVersion": "workload.metal3.io/v1alpha1",
            "kind": "Workload",
            "namespace": "team-a",
            "name": "web",
        }
        assert real["metadata"]["labels"]["workload.metal3.io/workload-uid"] == uid
        assert real["spec"]["automatedCleaningMode"] == "metadata"
        copy = here.hardware.get(SECRETS, real["spec"]["userData"]["name"], "metal3")
        assert base64.b64decode(copy["data"]["userData"]) == b"#cloud-config"
        metadata = here.hardware.get(SECRETS, real["spec"]["metaData"]["name"], "metal3")
        assert orjson.loads(base64.b64decode(metadata["data"]["metaData"])) == {
            "uuid": view_uid(real["metadata"]["uid"], "team-a"),
            "metal3-name": "h1",
            "metal3-namespace": "team-a",
            "local-hostname": "h1",
            "local_hostname": "h1",
            "name": "h1",
        }
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        real = here.host("h1")
        assert not {"consumerRef", "image", "userData", "metaData"} & set(real["spec"])
        assert "workload.metal3.io/workload-uid" not in real["metadata"]["labels"]
        assert here.hardware.all(SECRETS) == []
        await eventually(lambda: here.management.get(HOSTS, host_name(real["metadata"]["uid"]))["spec"]["offers"] == ["team-a", "team-b"])
        await eventually(lambda: {"Bound", "Provisioning", "Running"} <= set(here.reasons()))


async def test_nothing_of_the_owner_gets_into_the_management_cluster(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        here.bmo.hold = True
        here.hardware.edit(
            BMH,
            "h1",
            {"status": {"errorType": "provisioning error", "errorMessage": "canary-bmc-h1 at 10.1.2.3 refused canary-cred-h1"}},
            "metal3",
        )
        await eventually(lambda: here.workload("web")["status"].get("errorMessage"))
        await eventually(lambda: all(host["status"].get("errorMessage") for host in here.management.all(HOSTS)))
        (record,) = here.management.all(HOSTS)
        assert record["status"].pop("errorMessage") == "canary-bmc-h1 at 10.1.2.3 refused canary-cred-h1", "the owner's to read"
        for found in (*(here.management.all(resource) for resource in (WORKLOADS, EVENTS, CLASSES)), record):
            text = orjson.dumps(found).decode()
            assert CANARY not in text
            assert "10.1.2.3" not in text


async def test_a_clusters_kubeconfig_is_not_sent_to_a_machine(here: TwoClusters) -> None:
    here.management.put(SECRETS, secret("web-kubeconfig", "team-a", value="canary-admin"))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", userData={"name": "web-kubeconfig"}))
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SecretNotAllowed")
        assert "image" not in here.host("h1")["spec"]
        assert here.hardware.all(SECRETS) == []


async def test_a_selector_that_takes_too_long_is_refused_and_others_go_on(here: TwoClusters) -> None:
    huge = {"matchExpressions": [{"key": f"k{n}", "operator": "NotIn", "values": ["a"]} for n in range(2_000)]}
    async with controllers(here):
        here.management.put(WORKLOADS, workload("greedy", hostSelector=huge))
        await eventually(lambda: here.condition("greedy", "Bound")["reason"] == "TooComplex")
        here.management.put(WORKLOADS, workload("web", namespace="team-b"))
        await eventually(lambda: here.phase("web", "team-b") == "Running")


async def test_a_missing_secret_is_named_and_resolves_itself(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", userData={"name": "later"}))
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SecretNotFound")
        assert "later" in here.condition("web", "Ready")["message"]
        assert "image" not in here.host("h1")["spec"], "nothing runs without its user data"
        here.management.put(SECRETS, secret("later", "team-a", value="data"))
        await eventually(lambda: here.phase("web") == "Running")
        copy = here.hardware.get(SECRETS, here.host("h1")["spec"]["userData"]["name"], "metal3")
        assert base64.b64decode(copy["data"]["userData"]) == b"data"
        here.management.put(SECRETS, secret("later", "team-a", value="changed"))

        def synced() -> bool:
            copy = here.hardware.get(SECRETS, here.host("h1")["spec"]["userData"]["name"], "metal3")
            return base64.b64decode(copy["data"]["userData"]) == b"changed"

        await eventually(synced)


@pytest.mark.parametrize(
    ("field", "content", "words"), [("userData", {"user-data": "x"}, "'userData'"), ("metaData", {"metaData": "[a]"}, "object")]
)
async def test_a_secret_without_its_key_is_a_warning_and_nothing_begins(
    here: TwoClusters, field: str, content: dict[str, str], words: str
) -> None:
    here.management.put(SECRETS, secret("boot", "team-a", **content))
    reference: dict[str, Any] = {field: {"name": "boot"}}
    here.management.put(WORKLOADS, workload("web", **reference))

    def told(type_: str) -> list[str]:
        events = [event for event in here.management.all(EVENTS) if event["involvedObject"]["name"] == "web"]
        return [event["reason"] for event in events if event["type"] == type_]

    async with controllers(here):
        await eventually(lambda: here.condition("web", "Ready")["reason"] == "InvalidSecret")
        assert here.phase("web") == "Bound", "nothing is being installed"
        for word in ('"boot"', f"spec.{field}", words):
            assert word in here.condition("web", "Ready")["message"]
        await eventually(lambda: "InvalidSecret" in told("Warning"))
        assert "Provisioning" not in told("Normal")
        here.management.put(SECRETS, secret("boot", "team-a", **{field: "a: b"}))
        await eventually(lambda: here.phase("web") == "Running")


async def test_a_failed_installation_is_told_until_it_succeeds(here: TwoClusters) -> None:
    here.bmo.hold = True

    def real(**status: Any) -> None:
        here.hardware.edit(BMH, "h1", {"status": status}, "metal3")

    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: "image" in here.host("h1")["spec"])
        real(errorType="provisioning error", errorMessage="canary", provisioning={"state": "provisioning"})
        await eventually(lambda: here.phase("web") == "Failed")
        said = here.condition("web", "Ready")
        assert (said["reason"], "canary" in said["message"]) == ("ProvisioningFailed", False)
        real(errorType=None, errorMessage="", provisioning={"state": "deprovisioning"})
        await eventually(lambda: here.phase("web") == "Provisioning")
        assert here.condition("web", "Ready")["message"] == said["message"]
        real(provisioning={"state": "available"})
        here.bmo.hold = False
        real(hardwareProfile="x")
        await eventually(lambda: here.condition("web", "Ready")["status"] == "True")


async def test_a_name_leads_to_no_other_namespaces_secret(here: TwoClusters) -> None:
    here.management.put(SECRETS, secret("theirs", "team-b", userData="theirs"))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", userData={"name": "../../team-b/secrets/theirs"}))
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SecretNotFound")
    assert "image" not in here.host("h1")["spec"]


async def test_a_registrys_credentials_are_not_passed_over_in_silence(here: TwoClusters) -> None:
    image = {"url": "oci://registry.example.com/os:1", "ociAuthSecretName": "pull"}
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", image=image))
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "ImageUnsupported")
        assert "image" not in here.host("h1")["spec"]
        here.management.edit(WORKLOADS, "web", {"spec": {"image": {"ociAuthSecretName": None}}}, "team-a")
        await eventually(lambda: here.phase("web") == "Running")


async def test_power_follows_also_when_the_secret_has_gone(here: TwoClusters) -> None:
    here.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: here.phase("web") == "Running")
        here.management.remove(SECRETS, "boot", "team-a")
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SecretNotFound")
        here.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: here.host("h1")["spec"]["online"] is False)
        await eventually(lambda: here.phase("web") == "Stopped")
        assert here.host("h1")["spec"]["image"]["url"] == "http://images.example/os.qcow2"


async def test_reasons_why_no_host_fits_are_counted(here: TwoClusters) -> None:
    here.hardware.put(BMH, bmh("h2", ram_gib=32))
    async with controllers(here):
        await eventually(lambda: len(here.management.all(HOSTS)) == 2)
        await eventually(lambda: all(host.get("status") for host in here.management.all(HOSTS)))
        here.management.put(WORKLOADS, workload("big", requirements={"ram": "128Gi"}))
        here.management.put(WORKLOADS, workload("picky", hostSelector={"matchLabels": {"gpu": "yes"}}))
        counted = "0/2 hosts are available to this namespace: 2 "
        await eventually(lambda: here.condition("big", "Bound")["message"].startswith(f"{counted}have less than 128Gi of memory; "))
        await eventually(lambda: here.condition("picky", "Bound")["message"].startswith(f"{counted}lack label gpu=yes; "))
        assert here.phase("big") == "Pending"
        here.hardware.put(BMH, bmh("h3", ram_gib=256))
        await eventually(lambda: here.phase("big") == "Running")
        assert here.claimed("big") == "h3"
        mixed = "0/3 hosts are available to this namespace: 2 lack label gpu=yes, 1 is its own already; "
        await eventually(lambda: here.condition("picky", "Bound")["message"].startswith(mixed))


async def test_class_troubles_are_said_and_resolve_themselves(here: TwoClusters) -> None:
    here.management.remove(SECRETS, "hardware", "system")

    def connected() -> dict[str, str]:
        conditions = here.management.get(CLASSES, "metal")["status"]["conditions"]
        return next(item for item in conditions if item["type"] == "Connected")

    async with controllers(here):
        await eventually(lambda: connected()["reason"] == "SecretNotFound")
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig="nonsense"))
        await eventually(lambda: connected()["reason"] == "BadKubeconfig")
        config = orjson.dumps(here.hardware.kubeconfig).decode()
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        await eventually(lambda: connected()["status"] == "True")
        assert "canary" not in orjson.dumps(here.management.all(CLASSES)).decode()
        here.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namspace": "typo"}}})
        await eventually(lambda: connected()["reason"] == "BadParameters")
        assert "namspace" in connected()["message"]
        here.management.edit(CLASSES, "metal", {"spec": {"parameters": {"namspace": None}, "provisioner": "nobody/knows"}})
        await eventually(lambda: connected()["reason"] == "UnknownProvisioner")
        assert "metal3.io/baremetalhost" in connected()["message"]
        promise = {"provisioner": "metal3.io/baremetalhost", "cleaning": {"mode": "full"}}
        here.management.edit(CLASSES, "metal", {"spec": promise})
        await eventually(lambda: connected()["reason"] == "CleaningUnsupported")
        here.management.edit(CLASSES, "metal", {"spec": {"cleaning": {"mode": "metadata"}}})
        await eventually(lambda: connected()["status"] == "True")


async def test_a_class_without_a_source_is_not_ready_for_its_tenants_and_says_no_more(here: TwoClusters) -> None:
    here.management.remove(SECRETS, "hardware", "system")
    here.management.put(WORKLOADS, workload("web"))
    here.management.put(WORKLOADS, workload("pinned", hostRef={"name": "h1"}))

    def bound(name: str) -> dict[str, Any]:
        return here.condition(name, "Bound")

    async with controllers(here):
        await eventually(lambda: bound("web")["reason"] == bound("pinned")["reason"] == "ClassNotReady")
        assert "metal" in bound("web")["message"]
        for words in ("secret", "hardware", "system", "spec.credentials"):
            assert words not in bound("web")["message"], "that is the owner's"
        assert here.condition("web", "Stalled")["status"] == "", "it may yet succeed by itself"
        config = orjson.dumps(here.hardware.kubeconfig).decode()
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        await eventually(lambda: here.phase("web") == "Running" or here.phase("pinned") == "Running")


async def test_that_no_host_fits_is_said_with_the_class_being_disconnected(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("big", requirements={"ram": "128Gi"}))
        await eventually(lambda: here.condition("big", "Bound")["reason"] == "NoHostFits")
        here.management.remove(SECRETS, "hardware", "system")
        await eventually(lambda: "not connected" in here.condition("big", "Bound")["message"])
        assert here.condition("big", "Bound")["reason"] == "NoHostFits"
        config = orjson.dumps(here.hardware.kubeconfig).decode()
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        await eventually(lambda: "not connected" not in here.condition("big", "Bound")["message"])


async def test_the_log_tells_of_binds_releases_failing_classes_and_refused_secrets(
    here: TwoClusters, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "controllers")

    def logged(level: str, words: str) -> bool:
        return any(record.levelname == level and words in record.getMessage() for record in caplog.records)

    here.management.put(SECRETS, secret("c-kubeconfig", "team-a", userData="x"))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", userData={"name": "c-kubeconfig"}))
        await eventually(lambda: logged("INFO", f"workload team-a/web: Bound: a host was found (host {here.host_object('h1')})"))
        await eventually(lambda: logged("WARNING", 'workload team-a/web: SecretNotAllowed: the secret "c-kubeconfig"'))
        here.request_deletion("web")
        await eventually(lambda: logged("INFO", f"workload team-a/web: released host {here.host_object('h1')}"))
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig="nonsense"))
        await eventually(lambda: logged("WARNING", "workloadclass metal: BadKubeconfig: "))
        here.management.remove(SECRETS, "hardware", "system")
        await eventually(lambda: logged("WARNING", "workloadclass metal: SecretNotFound: the secret system/hardware"))
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig=orjson.dumps(here.hardware.kubeconfig).decode()))
        await eventually(lambda: logged("INFO", "workloadclass metal: Connected: "))
    assert "canary" not in caplog.text


async def test_rotated_credentials_need_no_restart(here: TwoClusters) -> None:
    here.hardware.tokens = {"token-canary"}
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        here.hardware.tokens = {"fresh"}
        here.hardware.cut_watches()
        config = orjson.dumps(here.hardware.kubeconfig).decode().replace("token-canary", "fresh")
        here.management.put(SECRETS, secret("hardware", "system", kubeconfig=config))
        here.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: here.phase("web") == "Stopped")


async def test_the_owner_taking_a_host_away_is_told(here: TwoClusters) -> None:
    here.hardware.put(BMH, bmh("h1", consumerRef={"kind": "Metal3Machine", "name": "other", "namespace": "x"}))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.condition("web", "Bound")["message"].startswith("no host of the class is available"))
        here.hardware.edit(BMH, "h1", {"spec": {"consumerRef": None}}, "metal3")
        await eventually(lambda: here.phase("web") == "Running")
        here.hardware.edit(BMH, "h1", {"spec": {"consumerRef": {"kind": "Metal3Machine", "name": "thief"}}}, "metal3")
        await eventually(lambda: here.condition("web", "Bound")["reason"] == "HostTaken")
        assert here.phase("web") == "Failed"
        await eventually(lambda: "HostTaken" in here.reasons())


async def test_a_real_host_that_goes_while_claimed_is_never_forgotten(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        name = host_name(here.host("h1")["metadata"]["uid"])
        here.hardware.remove(BMH, "h1", "metal3")
        await eventually(lambda: here.phase("web") == "Lost")
        await eventually(lambda: here.management.get(HOSTS, name)["status"]["reason"] == "HostGone")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        await eventually(lambda: here.management.find(HOSTS, name) is None)


async def test_a_claim_whose_workload_vanished_is_shown_and_nothing_is_wiped(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        name = host_name(here.host("h1")["metadata"]["uid"])
        here.management.remove(WORKLOADS, "web", "team-a")
        await eventually(lambda: here.management.get(HOSTS, name)["status"].get("reason") == "Abandoned")
        message = here.management.get(HOSTS, name)["status"]["message"]
        assert "team-a/web" in message
        assert "spec.claimRef" in message
        assert here.host("h1")["spec"]["image"]


async def test_a_mark_made_just_before_the_release_is_not_lost(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        name = host_name(here.host("h1")["metadata"]["uid"])
    # No controller runs that could pass it on before the Workload is deleted.
    here.management.edit(HOSTS, name, {"spec": {"view": {"annotations": {"capm3.metal3.io/unhealthy": ""}}}})
    here.request_deletion("web")
    async with controllers(here):
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert "capm3.metal3.io/unhealthy" in here.host("h1")["metadata"]["annotations"]


async def test_trouble_upstream_loses_nothing(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        here.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "canary-secret-text")
        here.hardware.cut_watches()
        here.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "SourceUnavailable")
        assert len(here.management.all(HOSTS)) == 1
        assert CANARY not in orjson.dumps(here.management.all(WORKLOADS)).decode()
        here.hardware.fail = lambda verb, path: None
        await eventually(lambda: here.phase("web") == "Stopped")


async def test_retain_leaves_the_host_running_and_quarantined(here: TwoClusters) -> None:
    here.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": True}}})
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", reclaimPolicy="Retain"))
        await eventually(lambda: here.phase("web") == "Running")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        real = here.host("h1")
        assert real["status"]["provisioning"]["state"] == "provisioned"
        assert real["metadata"]["annotations"]["workload.metal3.io/quarantined"] == "team-a/web"
        name = host_name(real["metadata"]["uid"])
        await eventually(lambda: here.management.get(HOSTS, name)["status"]["reason"] == "Quarantined")


async def test_retain_is_not_honoured_where_the_class_does_not_allow_it_any_more(here: TwoClusters) -> None:
    here.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": True}}})
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", reclaimPolicy="Retain"))
        await eventually(lambda: here.phase("web") == "Running")
        here.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": False}}})
        name = host_name(here.host("h1")["metadata"]["uid"])
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert "workload.metal3.io/quarantined" not in here.host("h1")["metadata"].get("annotations", {})
        await eventually(lambda: here.management.get(HOSTS, name)["status"].get("available"))


async def test_retain_waits_for_a_class_that_allows_it(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", reclaimPolicy="Retain"))
        await eventually(lambda: here.condition("web", "Bound")["reason"] == "RetainNotAllowed")
        assert "tenantMayRetain" in here.condition("web", "Bound")["message"]
        here.management.edit(CLASSES, "metal", {"spec": {"reclaim": {"tenantMayRetain": True}}})
        await eventually(lambda: here.phase("web") == "Running")


async def test_a_missing_class_is_told_in_ready_and_ends_waits_until_it_is_there(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", className="later"))
        await eventually(lambda: here.condition("web", "Stalled")["reason"] == "ClassNotFound")
        ready, bound = here.condition("web", "Ready"), here.condition("web", "Bound")
        assert (ready["status"], ready["reason"], ready["message"]) == ("False", bound["reason"], bound["message"])
        assert "later" in ready["message"]
        metal = here.management.get(CLASSES, "metal")
        here.management.put(CLASSES, {**metal, "metadata": {**metal["metadata"], "name": "later", "uid": "later"}})
        await eventually(lambda: here.condition("web", "Bound")["reason"] != "ClassNotFound")
        assert here.condition("web", "Stalled")["status"] == ""


async def test_dirty_disks_stay_home(here: TwoClusters) -> None:
    here.management.edit(CLASSES, "metal", {"spec": {"cleaning": {"mode": "metadata", "tenantMayDisable": True}}})
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", automatedCleaningMode="disabled"))
        await eventually(lambda: here.phase("web") == "Running")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        name = host_name(here.host("h1")["metadata"]["uid"])
        await eventually(lambda: here.management.get(HOSTS, name)["spec"]["offers"] == ["team-a"])
        here.management.put(WORKLOADS, workload("stranger", "team-b"))
        await eventually(lambda: "no host of the class is available" in here.condition("stranger", "Bound", "team-b")["message"])
        here.management.put(WORKLOADS, workload("again"))
        await eventually(lambda: here.phase("again") == "Running")
        here.request_deletion("again")
        await eventually(lambda: here.phase("stranger", "team-b") == "Running")


async def test_dirty_disks_are_not_a_later_namespaces(here: TwoClusters) -> None:
    here.management.edit(CLASSES, "metal", {"spec": {"cleaning": {"mode": "metadata", "tenantMayDisable": True}}})
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", automatedCleaningMode="disabled"))
        await eventually(lambda: here.phase("web") == "Running")
        here.request_deletion("web")
        name = here.host_object("h1")
        first = here.management.get(NAMESPACES, "team-a")["metadata"]["uid"]
        await eventually(lambda: here.management.get(HOSTS, name)["spec"]["offers"] == ["team-a"])
        assert here.management.get(HOSTS, name)["status"]["dirtyForUID"] == first
        here.management.remove(NAMESPACES, "team-a")
        await eventually(lambda: here.management.get(HOSTS, name)["status"]["reason"] == "Dirty")
        here.management.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": "team-a"}, "status": {"phase": "Active"}})
        assert here.management.get(NAMESPACES, "team-a")["metadata"]["uid"] != first
        here.management.put(WORKLOADS, workload("stranger"))
        await eventually(lambda: "no host of the class is available" in here.condition("stranger", "Bound")["message"])
        status = here.management.get(HOSTS, name)["status"]
        assert not status["available"]
        assert first in status["message"]
        here.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"workload.metal3.io/dirty-for": None}}}, "metal3")
        await eventually(lambda: here.phase("stranger") == "Running")


async def test_many_at_once_get_distinct_hosts_and_no_bind_is_wasted(here: TwoClusters) -> None:
    for number in range(2, 41):
        here.hardware.put(BMH, bmh(f"h{number}", cpus=8 * (1 + number % 3)))
    async with controllers(here):
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in here.management.all(HOSTS)) == 40)
        for number in range(40):
            here.management.put(WORKLOADS, workload(f"w{number}", "team-a" if number % 2 else "team-b"))
        await eventually(lambda: all(wl["status"]["phase"] == "Running" for wl in here.management.all(WORKLOADS)))
        consumers = [real["spec"]["consumerRef"]["name"] for real in here.hardware.all(BMH)]
        assert len(set(consumers)) == 40
        assert here.management.requests["POST workloads/binding"] == 40
        assert sorted(host for host, _ in here.bmo.log) == sorted(f"h{number}" for number in range(1, 41))


@pytest.mark.parametrize("moment", range(0, 60, 7))
async def test_killed_anywhere_it_goes_on(here: TwoClusters, moment: int) -> None:
    """Stop the controllers after a number of requests, and let others take over, in both directions
    of a life."""
    here.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    here.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))

    def count() -> int:
        return here.management.requests.total() + here.hardware.requests.total()

    async def until(requests: int, done: Callable[[], bool]) -> None:
        start = count()
        async with controllers(here):
            await eventually(lambda: count() - start >= requests or done())

    await until(moment, lambda: here.phase("web") == "Running")
    async with controllers(here):
        await eventually(lambda: here.phase("web") == "Running")
    here.request_deletion("web")
    await until(moment, lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
    async with controllers(here):
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert here.hardware.all(SECRETS) == []
        assert "consumerRef" not in here.host("h1")["spec"]
    assert len(here.bmo.log) == 1, "it was installed once"


async def test_reboots_pass_once_and_unhealthy_stays(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        name = host_name(here.host("h1")["metadata"]["uid"])
        wanted = {"reboot.metal3.io": "", "capm3.metal3.io/unhealthy": "", "baremetalhost.metal3.io/paused": "x"}
        here.management.put(BMH, {"metadata": {"name": "h1", "namespace": "team-a", "annotations": {"reboot.metal3.io": ""}}})
        here.management.edit(HOSTS, name, {"spec": {"view": {"annotations": wanted}}})
        await eventually(lambda: "reboot.metal3.io" in here.host("h1")["metadata"]["annotations"])
        assert "capm3.metal3.io/unhealthy" in here.host("h1")["metadata"]["annotations"]
        assert "baremetalhost.metal3.io/paused" not in here.host("h1")["metadata"]["annotations"]
        here.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"reboot.metal3.io": None}}}, "metal3")
        await eventually(lambda: not here.management.get(BMH, "h1", "team-a")["metadata"].get("annotations"))
        here.management.edit(HOSTS, name, {"spec": {"view": {"annotations": {"reboot.metal3.io": None}}}})
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        annotations = here.host("h1")["metadata"]["annotations"]
        assert "reboot.metal3.io" not in annotations
        assert "capm3.metal3.io/unhealthy" in annotations
        await eventually(lambda: here.management.get(HOSTS, name)["status"]["reason"] == "Unhealthy")


async def test_of_two_classes_that_see_the_same_hosts_the_first_keeps_them(here: TwoClusters) -> None:
    async with controllers(here):
        await eventually(lambda: len(here.management.all(HOSTS)) == 1)
        second = workload_class()
        second["metadata"]["name"] = "second"
        here.management.put(CLASSES, second)

        def exclusive(name: str) -> str:
            conditions = here.management.get(CLASSES, name)["status"]["conditions"]
            return str(next(item["reason"] for item in conditions if item["type"] == "Exclusive"))

        await eventually(lambda: exclusive("second") == "HostsOverlap")
        assert exclusive("metal") == "Exclusive"
        [host] = here.management.all(HOSTS)
        assert host["spec"]["className"] == "metal"
        here.management.remove(CLASSES, "metal")
        await eventually(lambda: here.management.all(HOSTS)[0]["spec"]["className"] == "second")
        await eventually(lambda: exclusive("second") == "Exclusive")


def removable(here: TwoClusters) -> str:
    """Return what the class says about its deletion."""
    conditions = here.management.get(CLASSES, "metal")["status"]["conditions"]
    return next((str(item["message"]) for item in conditions if item["type"] == "Removable"), "")


async def test_a_deleted_class_stays_until_nobody_has_a_host_of_it(here: TwoClusters) -> None:
    here.hardware.put(BMH, bmh("h2"))
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        class_ = here.management.get(CLASSES, "metal")
        assert class_["metadata"]["finalizers"] == [IN_USE_FINALIZER]
        class_["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        here.management.put(CLASSES, class_)
        await eventually(lambda: removable(here).startswith("team-a/web has a host of the class, which stays as long as it is in use"))
        assert "to keep a machine's disks, clear spec.claimRef" in removable(here)
        await eventually(lambda: "InUse" in here.reasons())
        here.management.put(WORKLOADS, workload("late"))
        await eventually(lambda: here.condition("late", "Bound")["reason"] == "ClassDeleting")
        await eventually(
            lambda: not any(host["spec"].get("offers") for host in here.management.all(HOSTS) if not host["spec"].get("claimRef"))
        )
        here.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
        await eventually(lambda: here.phase("web") == "Stopped")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        await eventually(lambda: here.management.find(CLASSES, "metal") is None)
        await eventually(lambda: here.management.all(HOSTS) == [])
        assert "consumerRef" not in here.host("h1")["spec"], "it was released properly"
        await eventually(lambda: here.condition("late", "Bound")["reason"] == "ClassNotFound")


async def test_a_class_that_was_deleted_by_force_names_the_way_out(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        class_ = here.management.get(CLASSES, "metal")
        here.management.remove(CLASSES, "metal")
        await eventually(lambda: here.condition("web", "Synchronized")["reason"] == "ClassGone")
        assert "create it again" in here.condition("web", "Ready")["message"]
        await eventually(lambda: here.management.all(HOSTS)[0]["status"].get("reason") == "ClassGone")
        here.request_deletion("web")
        await eventually(lambda: "create it again" in here.condition("web", "Ready")["message"] and here.phase("web") == "Deprovisioning")
        here.management.put(CLASSES, class_)
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)


def test_of_many_users_of_a_class_some_are_named() -> None:
    assert in_use([f"a/{number}" for number in range(7)]).startswith("a/0, a/1, a/2, a/3, a/4 and 2 more have hosts of the class")


async def test_a_workload_pinned_to_a_host(here: TwoClusters) -> None:
    here.hardware.put(BMH, bmh("h2"))
    async with controllers(here):
        await eventually(lambda: len(here.management.all(HOSTS)) == 2)
        here.management.put(WORKLOADS, workload("pinned", hostRef={"name": "h2"}))
        await eventually(lambda: here.condition("pinned", "Bound")["reason"] == "HostNotFound")
        view = {"metadata": {"name": "h2", "namespace": "team-a"}, "status": {"provisioning": {"ID": here.host_object("h2")}}}
        here.management.put(BMH, view)
        await eventually(lambda: here.phase("pinned") == "Running")
        assert here.claimed("pinned") == "h2"
        here.management.put(WORKLOADS, workload("second", hostRef={"name": "h2"}))
        await eventually(lambda: here.condition("second", "Bound")["reason"] == "HostNotFree")
        assert here.condition("second", "Bound")["message"] == 'the host "h2" is claimed: it is taken as soon as it is free'


async def test_no_class_no_default_not_allowed(here: TwoClusters) -> None:
    here.management.edit(CLASSES, "metal", {"spec": {"allowedNamespaces": {"names": ["team-b"]}}})
    async with controllers(here):
        here.management.put(WORKLOADS, workload("none", className=None))
        here.management.put(WORKLOADS, workload("unknown", className="gold"))
        here.management.put(WORKLOADS, workload("refused"))
        await eventually(lambda: here.condition("none", "Bound")["reason"] == "NoDefaultClass")
        await eventually(lambda: here.condition("unknown", "Bound")["reason"] == "ClassNotFound")
        await eventually(lambda: here.condition("refused", "Bound")["reason"] == "NamespaceNotAllowed")
        here.management.edit(CLASSES, "metal", {"spec": {"allowedNamespaces": {"names": ["team-a"]}}})
        await eventually(lambda: here.phase("refused") == "Running")


async def test_what_the_class_does_not_allow_gets_no_host_until_it_does(here: TwoClusters) -> None:
    here.management.edit(CLASSES, "metal", {"spec": {"images": {"allow": ["https://elsewhere.example.com/"]}}})
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.condition("web", "Bound")["reason"] == "ImageNotAllowed")
        assert "https://elsewhere.example.com/" in here.condition("web", "Bound")["message"]
        here.management.edit(CLASSES, "metal", {"spec": {"images": None}})
        await eventually(lambda: here.phase("web") == "Running")


async def test_what_the_class_allows_no_longer_is_not_written_to_the_host(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("idle", image=None))
        await eventually(lambda: here.phase("idle") == "Bound")
        inner = {"url": "http://169.254.169.254/latest/user-data", "checksum": "abc"}
        here.management.edit(WORKLOADS, "idle", {"spec": {"image": inner}}, "team-a")
        await eventually(lambda: here.condition("idle", "Synchronized")["reason"] == "ImageNotAllowed")
        assert "image" not in here.host("h1")["spec"]
        here.management.edit(CLASSES, "metal", {"spec": {"images": {"allow": ["http://169.254.169.254/"]}}})
        await eventually(lambda: here.phase("idle") == "Running")


async def test_a_workload_deleted_before_its_host_was_seen_is_still_released(here: TwoClusters) -> None:
    """Delay the Host's event: the finalizer must not be removed while the claim stands."""
    async with controllers(here):
        await eventually(lambda: here.management.all(HOSTS)[0]["spec"].get("offers"))
        here.management.fail = lambda verb, path: Failure(503, "ServiceUnavailable") if verb == "WATCH" and "/hosts" in path else None
        here.management.cut_watches()
        await eventually(lambda: here.management.requests["WATCH hosts"] >= 2)
        here.management.put(WORKLOADS, workload("hasty"))
        await eventually(lambda: here.workload("hasty")["metadata"].get("finalizers"))
        here.request_deletion("hasty")
        await eventually(lambda: here.management.requests["GET workloads"] >= 2)
        assert here.management.find(WORKLOADS, "hasty", "team-a") is not None
        here.management.fail = lambda verb, path: None
        await eventually(lambda: here.management.find(WORKLOADS, "hasty", "team-a") is None)
        assert not here.management.all(HOSTS)[0]["spec"].get("claimRef")


async def test_a_host_taken_back_by_the_owner_is_lost_and_an_orphan(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        name = here.host_object("h1")
        here.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        here.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        await eventually(lambda: here.condition("web", "Ready")["reason"] == "Lost")
        await eventually(lambda: here.management.get(HOSTS, name)["status"].get("reason") == "Orphaned")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert here.host("h1")["spec"]["consumerRef"]["name"] == "web", "what runs there is the owner's to decide"


async def test_a_host_taken_back_is_left_alone_also_before_that_is_seen_of_it(here: TwoClusters) -> None:
    """Deliver the Host's event after the Workload's. What is still known of the claim must be
    neither reported nor released."""
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        name, watched = here.host_object("h1"), here.management.requests["WATCH hosts"]
        here.management.fail = lambda verb, path: Failure(503, "ServiceUnavailable") if verb == "WATCH" and "/hosts" in path else None
        here.management.cut_watches()
        await eventually(lambda: here.management.requests["WATCH hosts"] > watched)
        here.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        here.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        here.management.put(WORKLOADS, workload("seen"))
        await eventually(lambda: here.condition("seen", "Bound")["status"] == "False")
        assert here.phase("web") == "Lost"
        here.request_deletion("web")
        here.management.put(WORKLOADS, workload("seen-too"))
        await eventually(lambda: here.condition("seen-too", "Bound")["status"] == "False")
        here.management.fail = lambda verb, path: None
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert here.host("h1")["spec"]["consumerRef"]["name"] == "web"
        assert "image" in here.host("h1")["spec"], "what runs there is the owner's to decide"


async def test_a_lost_race_for_a_host_ends_at_another(here: TwoClusters) -> None:
    here.hardware.put(BMH, bmh("h2"))
    refused: list[str] = []

    async def rival(api: FakeApi, request: web.Request, address: Address, body: dict[str, Any]) -> dict[str, Any]:
        if not refused:
            refused.append(body["target"]["name"])
            raise Failure(409, "Conflict", "the host is claimed already")
        return await bind(api, request, address, body)

    async with controllers(here):
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in here.management.all(HOSTS)) == 2)
        here.management.hooks["POST workloads/binding"] = rival
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.phase("web") == "Running")
        assert [here.host_object(here.claimed("web"))] != refused


async def test_a_misspelt_class_is_corrected_in_place(here: TwoClusters) -> None:
    async with controllers(here):
        here.management.put(WORKLOADS, workload("web", className="mteal"))
        await eventually(lambda: here.condition("web", "Bound")["reason"] == "ClassNotFound")
        assert "correct spec.className" in here.condition("web", "Bound")["message"]
        here.management.edit(WORKLOADS, "web", {"spec": {"className": "metal"}}, "team-a")
        await eventually(lambda: here.phase("web") == "Running")


async def test_a_binding_that_meets_a_changed_spec_takes_no_host_and_keeps_none_from_others(here: TwoClusters) -> None:
    """Change the spec while the binding is on its way. The only host is not bound for the old spec,
    and stays available."""
    bindings: list[int] = []

    async def late(api: FakeApi, request: web.Request, address: Address, body: dict[str, Any]) -> dict[str, Any]:
        if not bindings:
            api.edit(WORKLOADS, "web", {"spec": {"requirements": {"cpuCount": 1000}}}, "team-a")
        bindings.append(body["metadata"]["generation"])
        return await bind(api, request, address, body)

    async with controllers(here):
        await eventually(lambda: any(host["spec"].get("offers") for host in here.management.all(HOSTS)))
        here.management.hooks["POST workloads/binding"] = late
        here.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: here.condition("web", "Bound")["reason"] == "NoHostFits")
        assert here.condition("web", "Bound")["observedGeneration"] == 2
        here.management.put(WORKLOADS, workload("other"))
        await eventually(lambda: here.phase("other") == "Running")
        assert bindings == [1, 1]


async def test_run_as_a_process_does_with_election_and_health(here: TwoClusters) -> None:
    health = Health()
    assert health.problem() == "starting"
    task = asyncio.ensure_future(run_controllers(here.management.kubeconfig, leader_elect=True, namespace="system", health=health))
    await asyncio.wait_for(health.started.wait(), 10)
    assert health.problem() is None
    here.management.put(WORKLOADS, workload("web"))
    await eventually(lambda: here.phase("web") == "Running")
    standby = Health()
    second = asyncio.ensure_future(run_controllers(here.management.kubeconfig, leader_elect=True, namespace="system", health=standby))
    await eventually(lambda: here.management.requests["GET leases"] >= 2)
    await eventually(lambda: standby.problem() is None)  # a waiting replica is healthy
    assert not standby.started.is_set()
    for running in (second, task):
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    lease = here.management.get("apis/coordination.k8s.io/v1/leases", "metal3-workloads-controllers", "system")
    assert lease["spec"]["holderIdentity"] == "", "let go of, so that the next one need not wait"


async def test_a_kubeconfig_that_cannot_work_is_told_at_once() -> None:
    with pytest.raises(BadConfig):
        await run_controllers({"clusters": [], "contexts": [], "users": []})
