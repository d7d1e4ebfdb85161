"""Read objects of the first management cluster by short names, and check the invariants of a
cluster at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tests.crashes import objects

if TYPE_CHECKING:
    from tests.crashes.stack import ApiServer, Stack

Object = dict[str, Any]

UID = "workload.metal3.io/workload-uid"
TENANTS = ("tenant-a", "tenant-b")
SEEN_BY_TENANTS = ("Workload", "BareMetalHost", "Secret", "ConfigMap", "Event")


def phase(stack: Stack, name: str, where: str = "tenant-a") -> str:
    """Return a Workload's phase."""
    return str((stack.management.get("Workload", name, where).get("status") or {}).get("phase"))


def condition(stack: Stack, name: str, type_: str, where: str = "tenant-a") -> Object:
    """Return a Workload's condition. Raises KeyError if it does not exist."""
    return find_condition(stack.management.get("Workload", name, where), type_)


def find_condition(obj: Object, type_: str) -> Object:
    """Return an object's condition. Raises KeyError if it does not exist."""
    for item in (obj.get("status") or {}).get("conditions") or []:
        if item["type"] == type_:
            return dict(item)
    raise KeyError(type_)


def view(stack: Stack, name: str, where: str = "tenant-a") -> Object:
    """Return a tenant's view of a host."""
    return stack.management.get("BareMetalHost", name, where)


def stray_secrets(stack: Stack) -> list[str]:
    """Return the copied first-boot secrets in the hardware cluster that belong to no Workload with
    a host.

    A Workload has a host by its claim or at the real host."""
    claims = {
        host["spec"]["claimRef"]["uid"]
        for server in stack.managements.values()
        for host in server.all("Host")
        if host["spec"].get("claimRef")
    } | {(bmh["metadata"].get("labels") or {}).get(UID) for bmh in stack.hardware.all("BareMetalHost") if bmh["spec"].get("consumerRef")}
    labelled = ((item["metadata"]["name"], (item["metadata"].get("labels") or {}).get(UID)) for item in stack.hardware.all("Secret"))
    return [name for name, uid in labelled if uid is not None and uid not in claims]


def leaks(server: ApiServer) -> list[str]:
    """Return the objects that a tenant can read and that contain a value of the owner's
    (CANARY)."""
    found = []
    for kind in SEEN_BY_TENANTS:
        for obj in server.all(kind):
            where = obj["metadata"]["namespace"]
            if where in TENANTS and objects.CANARY in orjson.dumps(obj).decode():
                found.append(f"{kind} {where}/{obj['metadata']['name']}")
    reduced = server.registries["WorkloadClass"].reduced
    assert reduced is not None
    found += [f"WorkloadClass {entry.name}" for entry in reduced.collection.range() if objects.CANARY in entry.json.decode()]
    return found


def assert_sound(stack: Stack) -> None:
    """Assert that no host is used twice, that no value of the owner's leaks, and that no secret is
    left behind.

    Every waiting object must state what it waits for."""
    assert stack.guard.broken == []
    assert stray_secrets(stack) == []
    for server in stack.managements.values():
        assert leaks(server) == []
        _assert_views_follow(server)
        _assert_remembered(server)
        for workload in server.all("Workload"):
            _assert_reported(workload)
    _assert_records_agree(stack)


def _assert_reported(workload: Object) -> None:
    ready = find_condition(workload, "Ready")
    assert ready["status"] == "True" or len(ready["message"]) > 10, f"{workload['metadata']['name']} is not told what it waits for: {ready}"


def _assert_remembered(server: ApiServer) -> None:
    """Assert that a host's history has each claim once, and that only the present one is open."""
    for host in server.all("Host"):
        history, claim = (host.get("status") or {}).get("history") or [], host["spec"].get("claimRef")
        open_ = [item["uid"] for item in history if "releasedAt" not in item]
        assert open_ == ([claim["uid"]] if claim else []), f"{host['spec']['source']['name']}: {history}"
        ended = [(item["uid"], item["releasedAt"]) for item in history if "releasedAt" in item]
        assert len(ended) == len(set(ended)), f"{host['spec']['source']['name']}: {history}"


def _assert_views_follow(server: ApiServer) -> None:
    """Assert that only the claimant sees a claimed host, and that a free host is visible where it
    is offered."""
    for host in server.all("Host"):
        name = host["metadata"]["name"]
        seen = sorted(item["metadata"]["namespace"] for item in server.all("BareMetalHost") if item["status"]["provisioning"]["ID"] == name)
        claim = host["spec"].get("claimRef")
        wanted = [claim["namespace"]] if claim else sorted(host["spec"].get("offers") or [])
        assert seen == wanted, f"{host['spec']['source']['name']} is seen in {seen}, not in {wanted}"


def _assert_records_agree(stack: Stack) -> None:
    """Assert that real hosts and claims name the same Workloads.

    Exceptions are hosts whose condition explains the difference: gone, orphaned, abandoned,
    taken."""
    consumers: dict[str, str] = {}
    for bmh in stack.hardware.all("BareMetalHost"):
        uid = (bmh["metadata"].get("labels") or {}).get(UID)
        if uid is not None and (bmh["spec"].get("consumerRef") or {}).get("kind") == "Workload":
            assert uid not in consumers, f"{uid} has {consumers.get(uid)} and {bmh['metadata']['name']}"
            consumers[uid] = bmh["metadata"]["name"]
    for server in stack.managements.values():
        for host in server.all("Host"):
            claim = host["spec"].get("claimRef")
            if claim and consumers.get(claim["uid"]) != host["spec"]["source"]["name"]:
                _assert_explained(server, host, claim)


def _assert_explained(server: ApiServer, host: Object, claim: Object) -> None:
    workload = server.find("Workload", claim["name"], claim["namespace"])
    reason = (host.get("status") or {}).get("reason")
    if workload is None or workload["metadata"]["uid"] != claim["uid"]:
        assert reason == "Abandoned", f"{host['spec']['source']['name']}: claimed by nobody, and it says {reason}"
        return
    bound = find_condition(workload, "Bound")
    assert bound["status"] == "False", f"{claim['name']} has no real host, and is told {bound}"
