"""Reserve hosts for the only namespace that may have them, because its data is on the disks or the
host's source knows its claim.

A namespace is identified by its uid. `namespace` returns the namespace that has a name now, or
None.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.apis.host import adopted_consumer
from apiserver.client.objects import Object, uid_of
from controllers.providers.base import ProviderHost

_CLEAN = "have it cleaned (docs/operating.md, Cleaning), then remove the annotation workload.metal3.io/dirty-for from the real host"
_GONE = (
    "its disks hold data of the namespace {name} (uid {uid}), which was deleted: it is offered to no namespace, also not to a later one "
    f"of that name, until you {_CLEAN}"
)
_UNKNOWN = (
    "its disks hold data of a namespace {name} that an earlier version recorded without its uid, so that it is offered to no namespace: "
    f"{_CLEAN}; or add /UID of the namespace to that annotation, if it is still the one whose data it is"
)
_LOST = (
    "a Workload of the namespace {name} (uid {uid}), which was deleted, had it in a store that was lost: it is offered to no namespace, "
    "also not to a later one of that name; when what runs there is no longer needed, clear spec.image, spec.customDeploy and "
    "spec.consumerRef of the real host, which cleans it and offers it again"
)
_PASSED = (
    "{who} has it in the other cluster, from the time of an earlier namespace {name} here: to let the present namespace of that name take "
    "the claim over, delete this Host object, which changes nothing on the machine; releasing the host there wipes it"
)


def with_tenancy(status: Object, reported: ProviderHost, host: Object, namespace: Callable[[str], Object | None]) -> Object:
    """Return the Host's status with the fields that reserve the host for one namespace.

    `namespace` returns the namespace that has a name now."""
    dirty = uncleaned(reported, namespace(reported.dirty_for or ""))
    if not status["available"]:  # another reason takes precedence
        dirty = {key: dirty[key] for key in ("dirtyFor", "dirtyForUID") if key in dirty}
    return {**status, **dirty, **held(reported, host, namespace((reported.held or {}).get("namespace") or ""))}


def uncleaned(reported: ProviderHost, namespace: Object | None) -> Object:
    """Return the part of Host.status about data on the disks.

    The data belongs to the namespace with its uid. When that namespace is gone, no namespace may
    have the host."""
    name, uid = reported.dirty_for, reported.dirty_for_uid
    if name is None:
        return {}
    if uid and namespace is not None and uid_of(namespace) == uid:
        return {"dirtyFor": name, "dirtyForUID": uid}
    message = (_GONE if uid else _UNKNOWN).format(name=name, uid=uid)
    return {"dirtyFor": name, "available": False, "reason": "Dirty", "message": message}


def held(reported: ProviderHost, host: Object, namespace: Object | None) -> Object:
    """Return the part of Host.status about a claim at the source.

    The namespace whose uid the source has recorded may adopt the claim. Without a recorded uid, the
    claim belongs to the first namespace of that name that is seen with it. Host.status.heldBy
    records that namespace as long as the Host exists, even while a Workload has the host."""
    claim, known = host["spec"].get("claimRef"), (host.get("status") or {}).get("heldBy")
    found = reported.held
    if found is None:
        return {"heldBy": known} if known else {}
    consumer, recorded = adopted_consumer(found["spec"]["consumerRef"]), found.get("namespaceUID")
    if recorded:
        known = {"consumer": consumer, "namespaceUID": recorded}
    elif known is None or known["consumer"] != consumer:
        uid = (claim or {}).get("namespaceUID") or (uid_of(namespace) if namespace is not None else "")
        known = {"consumer": consumer, "namespaceUID": uid} if uid else None
    status: Object = {"heldBy": known} if known else {}
    if claim is not None:
        return status
    status["held"] = {**found, "namespaceUID": known["namespaceUID"]} if known else found
    if recorded and (namespace is None or uid_of(namespace) != recorded):
        status |= {"reason": "Dirty", "message": _LOST.format(name=found["namespace"], uid=recorded)}
    elif known and namespace is not None and uid_of(namespace) != known["namespaceUID"]:
        status["message"] = _PASSED.format(who=consumer.partition(" ")[2], name=found["namespace"])
    return status
