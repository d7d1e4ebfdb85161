"""Take hosts out of service, and follow how they become free.

A cordoned host is given to no Workload any more. Nothing here ends a claim: a release wipes the
machine, which only its tenant decides. So a drain waits, and says what would free each host.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from apiserver.apis.metal3 import EMPTYING_STATES
from apiserver.client.client import JSON_PATCH, Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, deleting, key_of, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.fleetreport import Row, claims, named
from controllers.host.abandoned import ABANDONED
from controllers.quotacharges import PASSING
from controllers.resumable import Blocked, RunOptions
from controllers.runtime.conditions import find_condition

DRAINED, GONE, HELD, RELEASING = "Drained", "Gone", "Held", "Releasing"
"""The states of a host that is being drained: not claimed, deleted, claimed, or being emptied."""
HOLDING = ("ExternallyProvisioned", "Held", "InUse", "Orphaned")
"""The reasons in the status of an unclaimed host that is in use."""
ENDED = (DRAINED, GONE)
POLL = 0.5
"""The seconds between two looks at the hosts that are not drained yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(RunOptions):
    """Select the Hosts to drain, as objects. `timeout` is in seconds, for all of them together."""

    hosts: Sequence[Object]


def chosen(hosts: Sequence[Object], names: Iterable[str]) -> list[Object]:
    """Return the Hosts of these names, each once. Raises Blocked for a name that no Host or several
    have."""
    found = [_one(hosts, name) for name in dict.fromkeys(names)]
    return list({uid_of(host): host for host in found}.values())


def _one(hosts: Sequence[Object], name: str) -> Object:
    found = named(hosts, name)
    if not found:
        raise Blocked(f"there is no host {name}: metal3-workloads fleet lists them. Nothing was changed")
    if len(found) > 1:
        which = ", ".join(f"{name_of(host)} of class {host['spec']['className']}" for host in found)
        raise Blocked(f"several hosts are named {name}; give the name of the Host instead: {which}. Nothing was changed")
    return found[0]


async def cordon(client: Client, host: Object, *, unschedulable: bool = True) -> Object:
    """Set or remove spec.unschedulable of exactly this Host (same uid), which keeps Workloads off
    it.

    Returns the Host as written. The write may be repeated, also after a crash."""
    if bool(host["spec"].get("unschedulable")) == unschedulable:
        return host
    value: Object = {"value": True} if unschedulable else {}
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": uid_of(host)},
        {"op": "add" if unschedulable else "remove", "path": "/spec/unschedulable", **value},
    ]
    return await client.patch(kinds.HOSTS, name_of(host), patch, content_type=JSON_PATCH)


async def drain(client: Client, options: Options, report: Callable[[list[Row]], None]) -> list[Row]:
    """Cordon the hosts, and wait until none of them is claimed any more.

    `report` is called with all rows whenever one has changed. Returns the final rows."""
    hosts = [host if options.dry_run else await cordon(client, host) for host in options.hosts]
    rows = [await _row(client, host) for host in hosts]
    report(rows)
    deadline = time.monotonic() + (0.0 if options.dry_run else options.timeout)
    while not drained(rows) and (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(POLL, left))
        before, rows = (
            rows,
            [row if row["state"] in ENDED else await _looked(client, host, row) for host, row in zip(hosts, rows, strict=True)],
        )
        if rows != before:
            report(rows)
    return rows


def drained(rows: Iterable[Row]) -> bool:
    """Return whether none of the hosts is claimed."""
    return all(row["state"] in ENDED for row in rows)


async def _looked(client: Client, host: Object, row: Row) -> Row:
    """Return the host's present row. Return `row` if its state is final, or if the server does not
    answer."""
    if row["state"] in ENDED:
        return row
    try:
        return await _row(client, host)
    except ApiException as error:
        if not error.transient:
            raise
        return row


async def _row(client: Client, host: Object) -> Row:
    current = await client.find(kinds.HOSTS, name_of(host))
    if current is None or uid_of(current) != uid_of(host):
        return {**progress(host, None), "state": GONE, "message": "the Host does not exist any more", "to_free": ""}
    claim = current["spec"].get("claimRef")
    workload = await client.find(kinds.WORKLOADS, claim["name"], claim["namespace"]) if claim else None
    return progress(current, workload if workload is not None and uid_of(workload) == claim["uid"] else None)


def progress(host: Object, workload: Object | None) -> Row:
    """Return the holder of the host and what would free it. `workload` is that of the claim, if it
    exists."""
    claim, source = host["spec"].get("claimRef"), host["spec"]["source"]
    row = {"host": source["name"], "class": host["spec"]["className"], "workload": f"{claim['namespace']}/{claim['name']}" if claim else ""}
    state, message, to_free = _claimed(host, claim, workload) if claim else _unclaimed(host)
    return {**row, "state": state, "message": message, "to_free": to_free}


def _claimed(host: Object, claim: Object, workload: Object | None) -> tuple[str, str, str]:
    """Return the state of a claimed host, the reason for it, and what would free the host."""
    message = (host.get("status") or {}).get("message") or ""
    if workload is None:
        abandoned = find_condition((host.get("status") or {}).get("conditions"), ABANDONED) or {}
        return HELD, message or "the claim's Workload does not exist any more", str(abandoned.get("message") or _LEFT)
    since = f" since {bound}" if (bound := _bound_at(host)) else ""
    if deleting(workload):
        return RELEASING, message or "the Workload is being deleted", "it ends by itself"
    keeps = ", which leaves what runs there" if workload["spec"].get("reclaimPolicy") == "Retain" else ", which wipes it"
    return HELD, f"it runs for {key_of(workload)}{since}", f"{_who(workload)}{keeps}"


_LEFT = "you decide: docs/operating.md, Claims without a consumer"


def _who(workload: Object) -> str:
    """Return which user would release the Workload's host, and how."""
    consumer, namespace = workload["spec"].get("consumerRef") or {}, namespace_of(workload)
    if kinds.CLAIMED_THROUGH in labels_of(workload):
        by = f"{consumer.get('kind') or 'consumer'} {consumer.get('name') or ''}".strip()
        return f"the owner of {by} in {namespace} deletes or replaces it"
    return f"the tenant of {namespace} deletes the Workload {name_of(workload)}, when nothing on it is needed"


def _bound_at(host: Object) -> str:
    present = next((item for item in claims(host) if "releasedAt" not in item), {})
    return str(present.get("boundAt") or "")


def _unclaimed(host: Object) -> tuple[str, str, str]:
    """Return the state of a host that no Workload of this store has."""
    status = host.get("status") or {}
    reason, message = status.get("reason") or "", status.get("message") or ""
    state = (((status.get("report") or {}).get("status") or {}).get("provisioning") or {}).get("state") or ""
    if reason in HOLDING:
        return HELD, f"{reason}: no Workload here has it", message
    if reason in PASSING or state in EMPTYING_STATES:
        return RELEASING, f"the source says {state or reason}", "it ends by itself"
    return DRAINED, message, ""
