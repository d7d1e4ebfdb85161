"""Define the actions of tenants and owners, each from one state of rest to another one.

Controllers may be killed anywhere in between."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from apiserver.client.errors import ApiException
from apiserver.dev.garbagecollector import GarbageCollector
from controllers import kinds
from storage.base import Delete
from tests.crashes import objects
from tests.crashes.checks import condition, phase, view
from tests.crashes.virtual import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tests.crashes.stack import ApiServer, Stack

Object = dict[str, Any]

CONSUMER = {"kind": "Metal3Machine", "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "namespace": "tenant-a", "name": "m0"}
HOSTS = ("h0", "h1", "h2")
UNHEALTHY = "capm3.metal3.io/unhealthy"
OTHER = "http://images.example/other.qcow2"


@dataclass(frozen=True)
class Flow:
    """One flow.

    `prepare` leads from hosts at rest to the start of the flow. `act` is performed by users while
    controllers may be gone. `done` is true at the end. `installs`: the images that are written to
    disks between the two."""

    name: str
    prepare: Callable[[Stack], Awaitable[None]]
    act: Callable[[Stack], Coroutine[Any, Any, None]]
    done: Callable[[Stack], Any]
    installs: tuple[str, ...] = ()


async def patiently(send: Callable[[], Awaitable[Any]]) -> Any:
    """Send a request again, each second, until it meets no conflict and no transient error."""
    while True:
        try:
            return await send()
        except ApiException as error:
            if not (error.conflict or error.transient):
                raise
            await asyncio.sleep(1.0)


async def nothing(stack: Stack) -> None:
    """Prepare nothing: hosts are free, and offered."""


async def make_web(stack: Stack) -> None:
    made = objects.workload("web", userData={"name": "boot"})
    await stack.management.create(objects.secret("boot", "tenant-a", userData="#cloud-config"), made, who="tenant-a")


async def make_web_and_be_late(stack: Stack) -> None:
    """Create a Workload, and let another consumer write to the real host when the claim is
    recorded.

    The controllers' write to the real host comes later, and finds the host taken."""
    thefts: list[asyncio.Task[Object]] = []
    thief = {"consumerRef": {"kind": "Metal3Machine", "apiVersion": CONSUMER["apiVersion"], "namespace": "elsewhere", "name": "faster"}}

    # a task of its own, because the call that records the claim belongs to the controllers' process
    people = contextvars.copy_context()

    def steal(name: str) -> None:
        if not thefts:
            take = stack.hardware.patch("BareMetalHost", name, {"spec": thief}, objects.HARDWARE)
            thefts.append(asyncio.create_task(take, context=people))

    stack.guard.claimed = steal
    await make_web(stack)
    await eventually(lambda: thefts)
    await thefts[0]


async def claim_view_and_be_late(stack: Stack) -> None:
    """Claim as CAPM3 does, and let another consumer write to the real host when the claim is
    recorded."""
    thefts: list[asyncio.Task[Object]] = []
    thief = {"consumerRef": {"kind": "Metal3Machine", "apiVersion": CONSUMER["apiVersion"], "namespace": "elsewhere", "name": "faster"}}
    people = contextvars.copy_context()

    def steal(name: str) -> None:
        if not thefts:
            take = stack.hardware.patch("BareMetalHost", name, {"spec": thief}, objects.HARDWARE)
            thefts.append(asyncio.create_task(take, context=people))

    stack.guard.claimed = steal
    spec = {"consumerRef": CONSUMER, "image": objects.image(), "online": True}
    with suppress(ApiException):
        await stack.management.patch("BareMetalHost", "h0", {"spec": spec}, "tenant-a", who="tenant-a")
    await eventually(lambda: thefts)
    await thefts[0]


def claim_ended(stack: Stack) -> bool:
    """Return whether no Workload has the host, and no view has a consumer.

    The other consumer's machine on the host must be untouched."""
    real = stack.real("h0")
    clean = "image" not in real["spec"] and not any("workload" in key for key in real["metadata"].get("labels") or {})
    nobody = "claimRef" not in stack.host_of("h0")["spec"] and not stack.management.all("Workload")
    shown = [view for view in stack.management.all("BareMetalHost") if "consumerRef" in view["spec"]]
    return nobody and not shown and real["spec"]["consumerRef"]["name"] == "faster" and clean


def runs_elsewhere(stack: Stack) -> bool:
    """Return whether the Workload runs on another host. The taken host must be untouched."""
    taken = [bmh for bmh in stack.hardware.all("BareMetalHost") if (bmh["spec"].get("consumerRef") or {}).get("name") == "faster"]
    clean = all("image" not in bmh["spec"] and not any("workload" in key for key in bmh["metadata"]["labels"]) for bmh in taken)
    return phase(stack, "web") == "Running" and claimed(stack) not in [bmh["metadata"]["name"] for bmh in taken] and clean


async def running_web(stack: Stack) -> None:
    """Create a Workload with user data, and wait until it runs."""
    await make_web(stack)
    await stack.until(lambda: phase(stack, "web") == "Running")


async def running_private(stack: Stack) -> None:
    """Create a Workload with a private OCI image, and wait until it runs."""
    config = '{"auths": {"registry.example": {"username": "u", "password": "p"}}}'
    pull = {**objects.secret("pull", "tenant-a", **{".dockerconfigjson": config}), "type": "kubernetes.io/dockerconfigjson"}
    made = objects.workload("web", image={"url": "oci://registry.example/os:1", "ociAuthSecretName": "pull"})
    await stack.management.create(pull, made, who="tenant-a")
    await stack.until(lambda: phase(stack, "web") == "Running")


async def change_to_public(stack: Stack) -> None:
    patch = {"spec": {"image": {**objects.image(OTHER), "ociAuthSecretName": None}, "updatePolicy": "Recreate"}}
    await patiently(lambda: stack.management.patch("Workload", "web", patch, "tenant-a", who="tenant-a"))


def runs_public(stack: Stack) -> bool:
    """Return whether the other image runs, and the credentials of the first one are gone."""
    copies = [found for found in stack.hardware.all("Secret") if found["metadata"]["name"].endswith("-registry")]
    return runs_other(stack) and not copies


async def change_view(server: ApiServer, name: str, patch: Object, where: str = "tenant-a") -> None:
    await patiently(lambda: server.patch("BareMetalHost", name, patch, where, who=where))


async def claim_view(stack: Stack) -> None:
    """Claim as CAPM3 does: label and consumer together with everything else, and no
    resourceVersion."""
    await stack.management.create(objects.secret("boot", "tenant-a", value="#cloud-config"), who="tenant-a")
    spec = {"consumerRef": CONSUMER, "image": {**objects.image(), "format": ""}, "userData": {"name": "boot"}, "online": True}
    patch = {"metadata": {"labels": {"cluster.x-k8s.io/cluster-name": "c"}}, "spec": spec}
    await change_view(stack.management, "h0", patch)


def view_state(stack: Stack) -> str:
    return str(view(stack, "h0")["status"]["provisioning"]["state"])


async def claimed_view(stack: Stack) -> None:
    """Claim a host through the view, and wait until it runs."""
    await claim_view(stack)
    await stack.until(lambda: view_state(stack) == "provisioned" and view(stack, "h0")["status"]["poweredOn"])


async def release_view(stack: Stack) -> None:
    """Release as CAPM3 does when it deletes a Metal3Machine."""
    await change_view(stack.management, "h0", {"spec": {"image": None, "userData": None, "online": False}})
    await eventually(lambda: view_state(stack) in ("available", "ready"))
    metadata = {"labels": {"cluster.x-k8s.io/cluster-name": None}}
    await change_view(stack.management, "h0", {"metadata": metadata, "spec": {"consumerRef": None}})


def claimed(stack: Stack) -> str:
    """Return the real host that "web" has, by the claim record."""
    for host in stack.management.all("Host"):
        if (host["spec"].get("claimRef") or {}).get("name") == "web":
            return str(host["spec"]["source"]["name"])
    raise KeyError("no host is claimed")


def all_free(stack: Stack) -> bool:
    """Return whether every real host has no consumer, and is visible to both tenants."""
    return all(
        host["spec"].get("offers") == ["tenant-a", "tenant-b"] and "claimRef" not in host["spec"] for host in stack.management.all("Host")
    )


def gone(stack: Stack) -> bool:
    return stack.management.all("Workload") == [] and all_free(stack)


async def delete_web(stack: Stack) -> None:
    await stack.management.delete("Workload", "web", "tenant-a", who="tenant-a")


async def reboot(stack: Stack) -> None:
    name = view_name(stack)
    await change_view(stack.management, name, {"metadata": {"annotations": {"reboot.metal3.io": ""}}})


def view_name(stack: Stack) -> str:
    return str(stack.management.get("Workload", "web", "tenant-a")["status"]["host"]["name"])


def rebooted(stack: Stack) -> bool:
    real = stack.real(claimed(stack))
    gone = not any("reboot" in key for obj in (real, view(stack, view_name(stack))) for key in obj["metadata"].get("annotations") or {})
    return gone and real["status"]["poweredOn"] and phase(stack, "web") == "Running"


async def remediate(stack: Stack) -> None:
    """Reboot as CAPM3's remediation does: hold the power off, then allow it again."""
    name, key = view_name(stack), "reboot.metal3.io/metal3-remediation-1"
    await change_view(stack.management, name, {"metadata": {"annotations": {key: '{"mode":"hard","force":false}'}}})
    await eventually(lambda: not view(stack, name)["status"]["poweredOn"])
    await change_view(stack.management, name, {"metadata": {"annotations": {key: None}}})
    await eventually(lambda: view(stack, name)["status"]["poweredOn"])


async def change_image(stack: Stack) -> None:
    patch = {"spec": {"image": {"url": OTHER}, "updatePolicy": "Recreate"}}
    await patiently(lambda: stack.management.patch("Workload", "web", patch, "tenant-a", who="tenant-a"))


async def change_image_only(stack: Stack) -> None:
    await patiently(lambda: stack.management.patch("Workload", "web", {"spec": {"image": {"url": OTHER}}}, "tenant-a", who="tenant-a"))


def runs_as_before(stack: Stack) -> bool:
    shown = stack.real(claimed(stack))["status"]["provisioning"]
    reported = condition(stack, "web", "Ready")
    return shown["image"]["url"] == objects.IMAGE and phase(stack, "web") == "Running" and reported["reason"] == "UpdateRefused"


def runs_other(stack: Stack) -> bool:
    shown = stack.real(claimed(stack))["status"]["provisioning"]
    return shown["state"] == "provisioned" and shown["image"]["url"] == OTHER and phase(stack, "web") == "Running"


async def mark_and_release(stack: Stack) -> None:
    """Mark the host as CAPM3 does when remediation gives up, and release it soon after."""
    await change_view(stack.management, view_name(stack), {"metadata": {"annotations": {UNHEALTHY: ""}}})
    await delete_web(stack)


def marked(stack: Stack) -> bool:
    bad = [host for host in stack.hardware.all("BareMetalHost") if UNHEALTHY in (host["metadata"].get("annotations") or {})]
    shown = [stack.host_of(host["metadata"]["name"]) for host in bad]
    free = [host for host in stack.management.all("Host") if host["spec"].get("offers")]
    return len(bad) == 1 and shown[0]["status"]["reason"] == "Unhealthy" and len(free) == 2 and stack.management.all("Workload") == []


async def delete_namespace(stack: Stack) -> None:
    await stack.management.delete("Namespace", "tenant-a")


def namespace_gone(stack: Stack) -> bool:
    offers = [host["spec"].get("offers") for host in stack.management.all("Host")]
    return stack.management.find("Namespace", "tenant-a") is None and offers == [["tenant-b"]] * 3


async def both_run(stack: Stack) -> None:
    """Run one host through a Workload, and one through the view."""
    await claimed_view(stack)
    made = objects.workload("web", userData={"name": "boot"})
    await stack.management.create(made, who="tenant-a")
    await stack.until(lambda: phase(stack, "web") == "Running")


async def rotate(stack: Stack) -> None:
    """Issue new credentials, revoke the old ones, and create a Workload."""
    stack.hardware.tokens.groups["rotated"] = stack.hardware.tokens.groups["provider"]
    made = objects.credentials(objects.kubeconfig(stack.hardware.url, "rotated"))
    await stack.management.patch("Secret", "hardware", {"data": made["data"]}, objects.SYSTEM)
    del stack.hardware.tokens.groups["provider"]
    await stack.management.patch("Workload", "web", {"spec": {"online": False}}, "tenant-a", who="tenant-a")


def stopped(stack: Stack) -> bool:
    class_ = stack.management.get("WorkloadClass", "metal")
    connected = next(item for item in class_["status"]["conditions"] if item["type"] == "Connected")
    return phase(stack, "web") == "Stopped" and not stack.real(claimed(stack))["status"]["poweredOn"] and connected["status"] == "True"


async def delete_real(stack: Stack) -> None:
    await stack.hardware.delete("BareMetalHost", claimed(stack), objects.HARDWARE)


def lost(stack: Stack) -> bool:
    reported = condition(stack, "web", "Ready")
    return phase(stack, "web") == "Lost" and reported["reason"] == "HostGone" and "delete this Workload" in reported["message"]


async def delete_real_and_web(stack: Stack) -> None:
    await delete_real(stack)
    await delete_web(stack)


def two_left(stack: Stack) -> bool:
    return len(stack.hardware.all("BareMetalHost")) == 2 and len(stack.management.all("Host")) == 2 and gone(stack)


async def detach_and_release(stack: Stack) -> None:
    """Detach the real host from BMO, release it, and attach it again.

    The tenant releases it; the owner reads why nothing happens, and attaches it."""
    name, key = claimed(stack), "baremetalhost.metal3.io/detached"
    await patiently(lambda: stack.hardware.patch("BareMetalHost", name, {"metadata": {"annotations": {key: ""}}}, objects.HARDWARE))
    await delete_web(stack)
    await eventually(lambda: "detached" in condition(stack, "web", "Ready")["message"])
    await patiently(lambda: stack.hardware.patch("BareMetalHost", name, {"metadata": {"annotations": {key: None}}}, objects.HARDWARE))


async def take_over_for_a_while(stack: Stack) -> None:
    """Replace the consumer of the real host for a while.

    The owner writes another consumer, reads the tenant's condition, and takes the host back."""
    name = claimed(stack)
    other = {"consumerRef": {"kind": "Metal3Machine", "name": "other", "namespace": "elsewhere", "apiVersion": None}}
    await patiently(lambda: stack.hardware.patch("BareMetalHost", name, {"spec": other}, objects.HARDWARE))
    await eventually(lambda: condition(stack, "web", "Bound")["reason"] == "HostTaken")
    await patiently(lambda: stack.hardware.patch("BareMetalHost", name, {"spec": {"consumerRef": None}}, objects.HARDWARE))


def runs_on(stack: Stack) -> bool:
    return phase(stack, "web") == "Running" and condition(stack, "web", "Bound")["status"] == "True"


async def vanished(stack: Stack) -> None:
    """Remove the Workload from the store without a release, as after a restore of an older
    store."""
    await running_web(stack)
    entry = stack.management.registries["Workload"].get("tenant-a", "web")
    await stack.management.cache.commit([Delete(entry.key, entry.revision)])


async def end_by_force(stack: Stack) -> None:
    """Delete the Workload and remove its finalizers before anything is released."""
    await delete_web(stack)
    try:
        await patiently(lambda: stack.management.patch("Workload", "web", {"metadata": {"finalizers": []}}, "tenant-a", who="tenant-a"))
    except ApiException as error:
        if not error.not_found:  # already released
            raise


async def free_by_hand(stack: Stack) -> None:
    """Follow the Host's message as the owner."""
    name = claimed(stack)
    host = stack.host_of(name)["metadata"]["name"]
    await eventually(lambda: stack.host_of(name)["status"].get("reason") == "Abandoned")
    await patiently(lambda: stack.management.patch("Host", host, {"spec": {"claimRef": None}}))
    await eventually(lambda: stack.host_of(name)["status"].get("reason") == "Orphaned")
    spec = {"image": None, "customDeploy": None, "consumerRef": None}
    await patiently(lambda: stack.hardware.patch("BareMetalHost", name, {"spec": spec}, objects.HARDWARE))


async def reclaim_at_once(stack: Stack) -> None:
    """End abandoned claims without a grace period, as the owner."""
    await patiently(lambda: stack.management.patch("WorkloadClass", "metal", {"spec": {"reclaim": {"abandonedGracePeriodSeconds": 0}}}))


RING = {"name": "ring", "minAvailable": 2}


async def make_gang(stack: Stack) -> None:
    """Create two Workloads that get their hosts together."""
    await stack.management.create(*(objects.workload(name, gang=RING) for name in ("one", "two")), who="tenant-a")


def gang_runs(stack: Stack) -> bool:
    return [phase(stack, name) for name in ("one", "two")] == ["Running", "Running"]


async def half_a_gang(stack: Stack) -> None:
    """Bind the only member of a gang, as a process leaves it that ends after its first binding."""
    await stack.management.create(objects.workload("one", gang=RING), who="tenant-a")
    body = {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Binding", "metadata": {"name": "one"}}
    target = {"target": {"name": stack.host_of("h0")["metadata"]["name"]}}
    await patiently(
        lambda: stack.management.client("controllers").create(kinds.WORKLOADS, body | target, "tenant-a", name="one", subresource="binding")
    )


def host_given_up(stack: Stack) -> bool:
    """Return whether the member waits again, and its host is free."""
    free = not any(host["spec"].get("claimRef") for host in stack.management.all("Host"))
    return free and phase(stack, "one") == "Pending" and condition(stack, "one", "Bound")["reason"] == "GangIncomplete"


HEALTH = "simulator.metal3.io/health"
KEPT_AWAY = ("NoHosts", "NoHostFits")
"""The reasons of a Workload for which no host is left."""


async def report_health(stack: Stack, health: str | None, *names: str) -> None:
    """Let the BMCs of these hosts report a health, or that all is well."""
    for name in names:
        patch = {"metadata": {"annotations": {HEALTH: health}}}
        await patiently(partial(stack.hardware.patch, "BareMetalHost", name, patch, objects.HARDWARE))


async def break_and_repair_free(stack: Stack) -> None:
    """Let all free hosts be broken while a Workload waits for one, and repair them."""
    await report_health(stack, "Critical", *HOSTS)
    await eventually(lambda: not any(host["spec"].get("offers") for host in stack.management.all("Host")))
    await make_web(stack)
    await eventually(lambda: condition(stack, "web", "Bound")["reason"] in KEPT_AWAY)
    await report_health(stack, None, *HOSTS)


async def break_as_it_is_chosen(stack: Stack) -> None:
    """Create a Workload, and let the chosen host break before anything is installed."""
    await make_web(stack)
    await eventually(lambda: claimed(stack))
    await report_health(stack, "Critical", claimed(stack))


async def claim_and_break(stack: Stack) -> None:
    """Claim as CAPM3 does, and let the host break as it is installed."""
    await claim_view(stack)
    await report_health(stack, "Warning", "h0")


def view_runs_unhealthy(stack: Stack) -> bool:
    return view_state(stack) == "provisioned" and conditions_agree(stack, "h0", healthy="False")


def runs_unhealthy(stack: Stack) -> bool:
    """Return whether it runs, and its tenant reads on both objects that the hardware has a problem."""
    name = claimed(stack)
    reported = condition(stack, "web", "Healthy")["status"] == "False"
    return phase(stack, "web") == "Running" and reported and conditions_agree(stack, name, healthy="False")


def runs_healthy(stack: Stack) -> bool:
    return phase(stack, "web") == "Running" and conditions_agree(stack, claimed(stack), healthy="True")


def conditions_agree(stack: Stack, name: str, *, healthy: str) -> bool:
    """Return whether the claimant's view of the host has all conditions of the real one."""
    shown = {item["type"]: item["status"] for item in view(stack, name)["status"].get("conditions") or ()}
    real = {item["type"]: item["status"] for item in stack.real(name)["status"]["conditions"]}
    return len(shown) == CONDITIONS and shown == real and shown["Healthy"] == healthy


CONDITIONS = 6
"""The number of a host's conditions."""


async def running_unhealthy(stack: Stack) -> None:
    """Run a Workload on a host that breaks."""
    await running_web(stack)
    await report_health(stack, "Critical", claimed(stack))
    await stack.until(lambda: runs_unhealthy(stack))


async def repair_running(stack: Stack) -> None:
    await report_health(stack, None, claimed(stack))


async def break_and_release(stack: Stack) -> None:
    """Release the Workload just as its host breaks."""
    await report_health(stack, "Critical", claimed(stack))
    await delete_web(stack)


def kept_back(stack: Stack) -> bool:
    """Return whether the broken host is clean, and offered to nobody."""
    broken = [
        bmh["metadata"]["name"] for bmh in stack.hardware.all("BareMetalHost") if HEALTH in (bmh["metadata"].get("annotations") or {})
    ]
    shown = [stack.host_of(name) for name in broken]
    free = [host for host in stack.management.all("Host") if host["spec"].get("offers")]
    clean = not any("image" in stack.real(name)["spec"] for name in broken)
    return (
        [host["status"].get("reason") for host in shown] == ["NotHealthy"]
        and clean
        and len(free) == 2
        and not stack.management.all("Workload")
    )


ONCE = (objects.IMAGE,)


async def empty_set(stack: Stack) -> None:
    """Create a set without members, whose owner consents to updates."""
    made = objects.workload_set("db", replicas=0, updateStrategy={"type": "RollingUpdate"})
    await stack.management.create(made, who="tenant-a")


async def set_runs(stack: Stack) -> None:
    await empty_set(stack)
    await scale_set(2)(stack)
    await stack.until(lambda: set_of(2)(stack))


def scale_set(replicas: int) -> Callable[[Stack], Coroutine[Any, Any, None]]:
    async def scale(stack: Stack) -> None:
        patch = {"spec": {"replicas": replicas}}
        await patiently(lambda: stack.management.patch("WorkloadSet", "db", patch, "tenant-a", who="tenant-a"))

    return scale


async def update_set(stack: Stack) -> None:
    patch = {"spec": {"template": {"spec": {"image": objects.image(OTHER)}}}}
    await patiently(lambda: stack.management.patch("WorkloadSet", "db", patch, "tenant-a", who="tenant-a"))


def set_of(replicas: int, url: str = objects.IMAGE) -> Callable[[Stack], bool]:
    """Return a check whether the set has these members, which run the image, and reports that in
    its status."""

    def done(stack: Stack) -> bool:
        set_ = stack.management.get("WorkloadSet", "db", "tenant-a")
        members = {item["metadata"]["name"]: item for item in stack.management.all("Workload")}
        running = all(
            item["spec"]["image"]["url"] == url and item["status"].get("phase") == "Running"
            for item in members.values()
            if item["spec"].get("image")
        )
        status, generation = set_.get("status") or {}, set_["metadata"]["generation"]
        ready = [item["status"] for item in status.get("conditions") or () if item["type"] == "Ready"]
        return (
            sorted(members) == [f"db-{number}" for number in range(replicas)]
            and all(item["spec"].get("image") for item in members.values())
            and running
            and ready == ["True"]
            and status["observedGeneration"] == generation
            and status["readyReplicas"] == status["updatedReplicas"] == replicas
        )

    return done


async def orphan_set(stack: Stack) -> None:
    """Delete the set, and keep its members (kubectl delete --cascade=orphan)."""
    server = stack.management
    uid = server.get("WorkloadSet", "db", "tenant-a")["metadata"]["uid"]
    await patiently(lambda: server.client("tenant-a").delete(kinds.SETS, "db", "tenant-a", uid=uid, propagation_policy="Orphan"))
    collector = GarbageCollector(server.cache, server.registries["WorkloadSet"], server.registries["Workload"])
    collecting = asyncio.create_task(collector.run())
    try:
        await eventually(lambda: server.find("WorkloadSet", "db", "tenant-a") is None)
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


async def scale_and_orphan_set(stack: Stack) -> None:
    """Ask for one more member, and delete the set as soon as that exists."""
    await scale_set(2)(stack)
    await eventually(lambda: stack.management.find("Workload", "db-1", "tenant-a"))
    await orphan_set(stack)


async def set_of_one_runs(stack: Stack) -> None:
    await empty_set(stack)
    await scale_set(1)(stack)
    await stack.until(lambda: set_of(1)(stack))


def owners(stack: Stack) -> dict[str, list[str]]:
    """Return the uids of the owners of each Workload."""
    return {
        item["metadata"]["name"]: [owner["uid"] for owner in item["metadata"].get("ownerReferences") or ()]
        for item in stack.management.all("Workload")
    }


def members_left(stack: Stack) -> bool:
    """Return whether the set is gone, and its members run without an owner."""
    left = [phase(stack, name) for name in ("db-0", "db-1")] == ["Running", "Running"]
    return left and stack.management.all("WorkloadSet") == [] and owners(stack) == {"db-0": [], "db-1": []}


async def orphan_and_create_again(stack: Stack) -> None:
    await orphan_set(stack)
    made = objects.workload_set("db", replicas=2, updateStrategy={"type": "RollingUpdate"})
    await stack.management.create(made, who="tenant-a")


def adopted(stack: Stack) -> bool:
    """Return whether the new set has the members of the former one."""
    uid = stack.management.get("WorkloadSet", "db", "tenant-a")["metadata"]["uid"]
    return set_of(2)(stack) and owners(stack) == {"db-0": [uid], "db-1": [uid]}


def reserve(hosts: int) -> Callable[[Stack], Coroutine[Any, Any, None]]:
    async def act(stack: Stack) -> None:
        await stack.management.create(objects.reservation(hosts))

    return act


async def reserved(stack: Stack) -> None:
    await reserve(2)(stack)
    await stack.until(lambda: kept_for_b(2)(stack))


async def short_beside_web(stack: Stack) -> None:
    """Reserve all hosts for tenant-b while a Workload of tenant-a has one."""
    await running_web(stack)
    await reserve(3)(stack)
    await stack.until(lambda: kept_for_b(2, "Short")(stack))


async def end_reservation(stack: Stack) -> None:
    await stack.management.delete("Reservation", "launch", "tenant-b")


async def ask_for_fewer(stack: Stack) -> None:
    await patiently(lambda: stack.management.patch("Reservation", "launch", {"spec": {"hosts": 1}}, "tenant-b"))


def kept_for_b(number: int, reason: str = "Fulfilled") -> Callable[[Stack], bool]:
    """Return whether so many hosts are free and kept for tenant-b, which alone is offered them."""

    def done(stack: Stack) -> bool:
        reservation = stack.management.get("Reservation", "launch", "tenant-b")
        kept = [host for host in stack.management.all("Host") if "reservedFor" in host["spec"]]
        status, generation = reservation.get("status") or {}, reservation["metadata"]["generation"]
        ready = [item["reason"] for item in status.get("conditions") or () if item["type"] == "Ready"]
        return (
            len(kept) == number == status.get("available")
            and all(host["spec"].get("offers") == ["tenant-b"] and "claimRef" not in host["spec"] for host in kept)
            and (ready, status["observedGeneration"]) == ([reason], generation)
        )

    return done


FLOWS = (
    Flow("bind and provision", nothing, make_web, lambda stack: phase(stack, "web") == "Running", ONCE),
    Flow("host taken just as it was chosen", nothing, make_web_and_be_late, runs_elsewhere, ONCE),
    Flow("claim through the view lost to somebody faster", nothing, claim_view_and_be_late, claim_ended),
    Flow("claim through the view", nothing, claim_view, lambda stack: view_state(stack) == "provisioned", ONCE),
    Flow("release", running_web, delete_web, gone),
    Flow("release that its tenant would end by force", running_web, end_by_force, gone),
    Flow("release through the view", claimed_view, release_view, gone),
    Flow("reboot", running_web, reboot, rebooted),
    Flow("remediation", running_web, remediate, rebooted),
    Flow("image change", running_web, change_image, runs_other, (OTHER,)),
    Flow("image change from a private registry", running_private, change_to_public, runs_public, (OTHER,)),
    Flow("image change that is refused", running_web, change_image_only, runs_as_before),
    Flow("unhealthy mark and release", running_web, mark_and_release, marked),
    Flow("namespace deletion", both_run, delete_namespace, namespace_gone),
    Flow("credentials rotation", running_web, rotate, stopped),
    Flow("real host deleted", running_web, delete_real, lost),
    Flow("real host deleted, then the Workload", running_web, delete_real_and_web, two_left),
    Flow("real host detached during the release", running_web, detach_and_release, gone),
    Flow("real host taken over for a while", running_web, take_over_for_a_while, runs_on),
    Flow("orphan freed by hand", vanished, free_by_hand, gone),
    Flow("set scaled up", empty_set, scale_set(2), set_of(2), (*ONCE, *ONCE)),
    Flow("set scaled down", set_runs, scale_set(1), set_of(1)),
    Flow("set updated one by one", set_runs, update_set, set_of(2, OTHER), (OTHER, OTHER)),
    Flow("gang", nothing, make_gang, gang_runs, (*ONCE, *ONCE)),
    Flow("gang that is half bound and stays so", nothing, half_a_gang, host_given_up),
    Flow("hosts are reserved", nothing, reserve(2), kept_for_b(2)),
    Flow("reservation that is filled by a release", short_beside_web, delete_web, kept_for_b(3)),
    Flow("reservation of fewer hosts", reserved, ask_for_fewer, kept_for_b(1)),
    Flow("reservation that ends", reserved, end_reservation, gone),
    Flow("abandoned claim that its class ends", vanished, reclaim_at_once, gone),
    Flow("all free hosts broken, and repaired", nothing, break_and_repair_free, runs_healthy, ONCE),
    Flow("host broken as it was chosen", nothing, break_as_it_is_chosen, runs_unhealthy, ONCE),
    Flow("host broken as it was claimed through the view", nothing, claim_and_break, view_runs_unhealthy, ONCE),
    Flow("host of a Workload repaired", running_unhealthy, repair_running, runs_healthy),
    Flow("host broken at its release", running_web, break_and_release, kept_back),
    Flow("set deleted without its members as it grows", set_of_one_runs, scale_and_orphan_set, members_left, ONCE),
    Flow("set deleted without its members, and created again", set_runs, orphan_and_create_again, adopted),
)
