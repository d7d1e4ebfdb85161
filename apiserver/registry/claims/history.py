"""Record the last claims of a host in Host.status.history, in the commit that changes the claim.

Only the server writes the list. Each write of a Host derives the list from the stored one, so a
repeated write adds nothing, and a crash can lose no claim. The list is bounded by its number of
entries and by its bytes. The oldest entries are dropped first, and before them those of claims
under which nothing ran. Tenants never see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from apiserver.apis.images import scrubbed

ENTRIES, BYTES = 16, 8 * 1024
"""The largest number of entries of a host, and of bytes of their JSON."""
TEXT = 256
"""The largest number of characters of an error in an entry."""
_INSTALLED = "provisioned"

Entry = dict[str, Any]


def with_claim(host: Mapping[str, Any], claim: Mapping[str, str], workload: Mapping[str, Any] | None, time: str | None) -> list[Entry]:
    """Return the history of the host with an entry for the claim. It has one entry for each
    claim."""
    history: list[Entry] = list((host.get("status") or {}).get("history") or ())
    if history and history[-1]["uid"] == claim["uid"] and "releasedAt" not in history[-1]:
        return history
    entry: Entry = {**claim, "className": host["spec"]["className"]}
    if image := _image((workload or {}).get("spec")):
        entry["image"] = image
    if time is not None:
        entry["boundAt"] = time
    return _bounded([*history, entry])


def updated_history(
    old: Mapping[str, Any], new: Mapping[str, Any], workload: Mapping[str, Any] | None, ends: str, time: str
) -> list[Entry]:
    """Return the history of the Host `new`, which is about to replace `old`.

    `workload` is the Workload that has the host in `old`, if it exists. `ends` is the outcome of
    the claim if `new` no longer has it."""
    claim, status = old["spec"].get("claimRef"), new.get("status") or {}
    if claim is None:
        history = list((old.get("status") or {}).get("history") or ())
        return [*history[:-1], _cleaned(history[-1], status, time)] if history else []
    # A claim that an earlier version recorded has no entry yet.
    *earlier, entry = with_claim(old, claim, workload, _bound_since(workload))
    entry = _followed(entry, (status.get("report") or {}).get("status") or {}, time)
    if new["spec"].get("claimRef") is None:
        entry = {**entry, "releasedAt": time, "outcome": ends}
    return _bounded([*earlier, entry])


def outcome(workload: Mapping[str, Any] | None, *, may_retain: bool) -> str:
    """Return how a claim ends that is cleared now. `workload` is the Workload that has the host."""
    if workload is None:
        return "WorkloadGone"
    if "deletionTimestamp" not in workload["metadata"]:
        return "Rescheduled" if (workload.get("status") or {}).get("phase") == "Pending" else "TakenBack"
    return "Retained" if may_retain and workload["spec"].get("reclaimPolicy") == "Retain" else "Released"


def _followed(entry: Entry, seen: Mapping[str, Any], time: str) -> Entry:
    """Return the entry of a present claim, updated from a report in BareMetalHost's form."""
    provisioning, found = seen.get("provisioning") or {}, {}
    if provisioning.get("state") == _INSTALLED:
        found = {"runningAt": entry.get("runningAt", time)}
        if image := _image(provisioning):
            found["image"] = image
    if error := seen.get("errorMessage"):
        found["lastError"] = str(error)[:TEXT]
    return {**entry, **found}


def _cleaned(entry: Entry, status: Mapping[str, Any], time: str) -> Entry:
    """Return the entry of a past claim, with the time at which others could have the host again."""
    if "cleanedAt" in entry or entry.get("outcome") == "Rescheduled" or not status.get("available") or status.get("dirtyFor"):
        return entry
    return {**entry, "cleanedAt": time}


def _image(holder: Mapping[str, Any] | None) -> str:
    return scrubbed(((holder or {}).get("image") or {}).get("url") or "")


def _bound_since(workload: Mapping[str, Any] | None) -> str | None:
    conditions = ((workload or {}).get("status") or {}).get("conditions") or ()
    return next((item["lastTransitionTime"] for item in conditions if item["type"] == "Bound" and item["status"] == "True"), None)


def _bounded(history: list[Entry]) -> list[Entry]:
    """Return the entries that are within the bounds, and always the last one.

    Claims under which nothing ran are dropped first: a tenant can make many of them, and would
    otherwise push out the earlier claims."""
    sizes = [len(orjson.dumps(entry)) for entry in history]
    number, size = len(history), sum(sizes)
    dropped = set[int]()
    for index in sorted(range(len(history) - 1), key=lambda index: "runningAt" in history[index]):
        if number <= ENTRIES and size <= BYTES:
            break
        dropped.add(index)
        number, size = number - 1, size - sizes[index]
    return [entry for index, entry in enumerate(history) if index not in dropped]
