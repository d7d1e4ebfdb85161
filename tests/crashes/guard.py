"""Check the invariants after every single commit of either cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.claims.usagerecords import holder_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.base import Event

Object = dict[str, Any]

UID = "workload.metal3.io/workload-uid"
QUARANTINED = "workload.metal3.io/quarantined"


class Guard:
    """Receives all commits.

    `broken`: the violations, as text. `installed`: (host, image URL) of each deployment that began.
    `claimed` is called with each real host for which a claim is recorded, at that moment.
    `committed` is called with each commit of a management cluster."""

    def __init__(self) -> None:
        self.claimed: Callable[[str], None] = lambda name: None
        self.committed: Callable[[list[Event]], None] = lambda events: None
        self.broken: list[str] = []
        self.installed: list[tuple[str, str]] = []
        self._data: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._namespace_uids: dict[tuple[str, str], str] = {}

    def hardware(self, events: list[Event]) -> None:
        """Check a commit of the hardware cluster."""
        for event in events:
            if event.type == "put" and "/baremetalhosts/" in event.key:
                new = orjson.loads(event.value)
                if event.previous is None:
                    # A newly registered host: its owner knows what was on its disks before.
                    self._data.pop(new["metadata"]["name"], None)
                self._real_host(orjson.loads(event.previous) if event.previous else new, new)

    def management(self, side: str, events: list[Event]) -> None:
        """Check a commit of a management cluster.

        Its namespaces are distinguished by their uids, because names are reused."""
        self.committed(events)
        self.broken += unmetered(events)
        for event in events:
            if event.type != "put":
                continue
            new, old = orjson.loads(event.value), orjson.loads(event.previous) if event.previous else {}
            if "/hosts/" in event.key:
                before, after = ((obj.get("spec") or {}).get("claimRef") for obj in (old, new))
                if after and not before:
                    self.claimed(new["spec"]["source"]["name"])
                if before and after and before != after:
                    self.broken.append(f"{event.key}: claim passed from {before} to {after} without a release")
            elif "/namespaces/" in event.key:
                self._namespace_uids[side, new["metadata"]["name"]] = new["metadata"]["uid"]
            elif "/workloads/" in event.key and event.previous is None:
                where = new["metadata"]["namespace"]
                self._owners[new["metadata"]["uid"]] = f"{side}/{where}/{self._namespace_uids.get((side, where), 'from before')}"

    def _real_host(self, old: Object, new: Object) -> None:
        name = new["metadata"]["name"]
        before, after = _consumer(old), _consumer(new)
        if before is not None and after is not None and before != after and before[2] and after[2]:
            self.broken.append(f"{name}: consumer changed from {before} to {after} without having been free")
        was, now = _provisioning(old), _provisioning(new)
        uid = (new["metadata"].get("labels") or {}).get(UID, "")
        if now.get("state") == "provisioning" and was.get("state") != "provisioning":
            self.installed.append((name, ((new["spec"].get("image") or {}).get("url") or "")))
            owner = self._owners.get(uid, uid)
            if owner and name in self._data and self._data[name] != owner:
                self.broken.append(f"{name}: given to {owner} with the data of {self._data[name]} on its disks")
            # Without the label UID, the hardware's owner installs it, who may see any tenant's data.
            if owner:
                self._data[name] = owner
        if QUARANTINED in _annotations(old) and QUARANTINED not in _annotations(new):
            self._data.pop(name, None)  # the owner declares that it was wiped
        if was.get("state") == "deprovisioning" and now.get("state") == "available" and _wiped(new):
            self._data.pop(name, None)


def unmetered(events: list[Event]) -> list[str]:
    """Return the Hosts that change hands or power in a commit without their UsageRecord."""
    records = {event.key.rpartition("/")[2]: orjson.loads(event.value)["spec"] for event in events if "/usagerecords/" in event.key}
    found = []
    for event in events:
        if "/hosts/" not in event.key:
            continue
        before = holder_fields(orjson.loads(event.previous)) if event.previous else None
        after = holder_fields(orjson.loads(event.value)) if event.type == "put" else None
        if before != after and _without_size(records.get(event.key.rpartition("/")[2], {}).get("current")) != _without_size(after):
            found.append(f"{event.key}: used as {before} and then as {after}, which its record does not say")
    return found


def _without_size(held: Object | None) -> Object | None:
    """Return what is used without its size, which may be unknown for a while."""
    return {field: value for field, value in held.items() if field not in ("since", "size")} if held is not None else None


def _consumer(bmh: Object) -> tuple[str, str, str] | None:
    reference = bmh["spec"].get("consumerRef")
    if not reference:
        return None
    uid = (bmh["metadata"].get("labels") or {}).get(UID, "") if reference.get("kind") == "Workload" else ""
    return reference.get("namespace", ""), reference["name"], uid


def _annotations(bmh: Object) -> Object:
    return bmh["metadata"].get("annotations") or {}


def _provisioning(bmh: Object) -> Object:
    return dict((bmh.get("status") or {}).get("provisioning") or {})


def _wiped(bmh: Object) -> bool:
    return bool(bmh["spec"].get("automatedCleaningMode", "metadata") == "metadata")
