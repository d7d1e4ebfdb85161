"""Explain a fleet to its owner: capacity by class, holders and past claims of hosts, and why a
Workload or a set waits.

Nothing here asks a server. The scheduler's own functions decide whether a host would fit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from apiserver.apis.host import CORDONED, is_open_to, reserved_for, unavailable_reason
from apiserver.client.clock import seconds_of
from apiserver.client.objects import Object, deleting, key_of, name_of, namespace_of, uid_of
from controllers.gangcounts import gang_counts
from controllers.leaseended import LEASE_ENDED
from controllers.owners import controlling_set
from controllers.runtime.conditions import find_condition
from controllers.scheduler.cache import unavailable_phrase
from controllers.scheduler.fit import NOT_OPEN, candidate, requirements_of, singular, unfit_reason, unsuitable_reason
from controllers.scheduler.placementrules import rules_of
from controllers.workloadset.members import is_ready, ordinal_of
from controllers.workloadset.status import STALLED, state_of_set

Row = dict[str, Any]


def named(hosts: Iterable[Object], name: str) -> list[Object]:
    """Return the Hosts with this name, their own or that of the real host."""
    return [host for host in hosts if name in (name_of(host), host["spec"]["source"]["name"])]


def capacity(classes: Iterable[Object], hosts: list[Object]) -> list[Row]:
    """Return a row for each class: how many hosts it has, which are claimed, and why others are not
    free."""
    known = {name_of(class_): class_ for class_ in classes}
    by_class: dict[str, list[Object]] = {name: [] for name in known}
    for host in hosts:
        by_class.setdefault(host["spec"]["className"], []).append(host)
    return [{**_capacity(name, found), **_connection(known.get(name))} for name, found in sorted(by_class.items())]


def _connection(class_: Object | None) -> Row:
    """Return the state of the class's source, with a message if it does not answer."""
    condition = find_condition(((class_ or {}).get("status") or {}).get("conditions"), "Connected")
    if condition is None or condition["status"] == "True":
        return {"source": "Connected" if condition is not None else "", "message": ""}
    return {"source": condition["reason"], "message": condition["message"]}


def _capacity(name: str, hosts: list[Object]) -> Row:
    holders = Counter(str(host["spec"]["claimRef"]["namespace"]) for host in hosts if host["spec"].get("claimRef"))
    reasons = Counter(unavailable_reason(host) for host in hosts)
    free, claimed = reasons.pop(None, 0), reasons.pop("Bound", 0)
    counts = {"total": len(hosts), "free": free, "claimed": claimed, "unavailable": len(hosts) - free - claimed}
    counts["reserved"] = sum(unavailable_reason(host) is None and reserved_for(host) is not None for host in hosts)
    return {"class": name, **counts, "holders": dict(sorted(holders.items())), "reasons": dict(sorted(reasons.items(), key=str))}


def host_rows(hosts: Iterable[Object]) -> list[Row]:
    """Return a row for each host, by class and name."""
    return sorted((_host_row(host) for host in hosts), key=lambda row: (row["class"], row["host"]))


def _host_row(host: Object) -> Row:
    status, claim = host.get("status") or {}, host["spec"].get("claimRef") or {}
    row = {"host": host["spec"]["source"]["name"], "class": host["spec"]["className"], "state": _state(host)}
    holder = f"{claim['namespace']}/{claim['name']}" if claim else ""
    message = status.get("errorMessage") or status.get("message") or (_uncordon(host) if host["spec"].get("unschedulable") else "")
    reservation = host["spec"].get("reservedFor") or {}
    row["reserved"] = f"{reservation['namespace']}/{reservation['name']}" if reservation else ""
    return {**row, "workload": holder, "reason": status.get("reason") or "", "message": message}


def _state(host: Object) -> str:
    """Return the reason why the host cannot be claimed, followed by CORDONED if it is also
    cordoned."""
    reason = unavailable_reason(host) or "Available"
    return f"{reason},{CORDONED}" if host["spec"].get("unschedulable") and reason != CORDONED else reason


def _uncordon(host: Object) -> str:
    return f"it is cordoned: metal3-workloads uncordon {host['spec']['source']['name']}"


def troubled(workloads: Iterable[Object], sets: Iterable[Object] = ()) -> list[Row]:
    """Return a row for each Workload and each set that needs attention, sorted by key.

    A Workload that is not ready because of an ordinary step, such as its installation, needs none.
    Neither does a set whose trouble is that of a member, or whose lease has ended."""
    rows = [*(_trouble(workload) for workload in workloads if not deleting(workload)), *map(_trouble_of_set, sets)]
    return sorted((row for row in rows if row is not None), key=lambda row: str(row["workload"]))


def _trouble_of_set(set_: Object) -> Row | None:
    condition = find_condition((set_.get("status") or {}).get("conditions"), "Ready") or {}
    if state_of_set(set_) not in ("quota", "refused", "stalled") or condition.get("reason") in _QUIET or deleting(set_):
        return None
    found = {"workload": f"{namespace_of(set_)}/{SET}{name_of(set_)}", "class": _template_class(set_), "phase": state_of_set(set_)}
    return {**found, "reason": condition.get("reason", ""), "message": condition.get("message", "")}


def _template_class(set_: Object) -> str:
    return set_["spec"]["template"]["spec"].get("className") or ""


def _trouble(workload: Object) -> Row | None:
    status = workload.get("status") or {}
    condition = find_condition(status.get("conditions"), "Ready") or _UNREPORTED
    if condition["status"] != "False" or condition["reason"] in _ORDINARY:
        return None
    found = {"workload": key_of(workload), "class": workload["spec"].get("className") or "", "phase": status.get("phase") or "Pending"}
    return {**found, "reason": condition["reason"], "message": condition["message"]}


_UNREPORTED = {"status": "False", "reason": "NotReported", "message": "nothing is reported yet: the controllers may be away"}
SET = "workloadset/"
"""The prefix of a set's name in places where a Workload's name is possible."""
_QUIET = ("MemberNotReady", "Updating", LEASE_ENDED)
"""The reasons of a set that repeat the reason of a member, or that its tenant has asked for."""
_ORDINARY = ("Deprovisioning", "PowerChanging", "PoweredOff", "Provisioning", "Releasing")
"""The reasons of a Workload that is not ready and needs no attention."""


def why(workload: Object, hosts: Iterable[Object], namespace_uid: str) -> Row:
    """Return the reason for the Workload's phase. If the Workload waits for a host, also return
    what keeps each host of its class from it."""
    status = workload.get("status") or {}
    conditions = status.get("conditions")
    condition = find_condition(conditions, "Stalled") or find_condition(conditions, "Ready") or {}
    found = {"workload": key_of(workload), "phase": status.get("phase") or "Pending", "class": workload["spec"].get("className") or ""}
    found |= {"reason": condition.get("reason", ""), "message": condition.get("message", _UNREPORTED["message"]) + _lease(status)}
    wanted = (workload["spec"].get("hostRef") or {}).get("name")
    of_class = [host for host in hosts if host["spec"]["className"] == found["class"]]
    if "host" in status:
        uid = uid_of(workload)
        return {**found, "hosts": host_rows(host for host in of_class if (host["spec"].get("claimRef") or {}).get("uid") == uid)}
    chosen = [host for host in of_class if wanted in (None, host["spec"]["source"]["name"])]
    rows = [{**_host_row(host), **why_not(host, workload, namespace_uid)} for host in chosen]
    return {**found, "hosts": sorted(rows, key=lambda row: (row["why"], row["host"]))}


def gang_row(workload: Object, others: Iterable[Object]) -> Row | None:
    """Return the numbers of members and hosts of the Workload's gang, or None if it has no gang.

    `others` are the Workloads of its namespace."""
    name = (workload["spec"].get("gang") or {}).get("name")
    if name is None:
        return None
    stands = gang_counts(other for other in others if (other["spec"].get("gang") or {}).get("name") == name)
    return {"name": name, "members": stands.members, "hosts": stands.hosts, "needed": stands.needed}


def why_set(set_: Object, workloads: Iterable[Object]) -> Row:
    """Return the reason for the set's state, and its members: those that are not ready first."""
    conditions = (set_.get("status") or {}).get("conditions")
    condition = find_condition(conditions, STALLED) or find_condition(conditions, "Ready") or {}
    found: Row = {
        "workloadset": key_of(set_),
        "state": state_of_set(set_),
        "class": _template_class(set_),
        "replicas": set_["spec"]["replicas"],
    }
    found |= {"available": (set_.get("status") or {}).get("availableReplicas") or 0}
    found |= {"reason": condition.get("reason", ""), "message": condition.get("message", _UNREPORTED["message"])}
    owned = [workload for workload in workloads if (controlling_set(workload) or {}).get("uid") == uid_of(set_)]
    return {**found, "members": [_member_row(member) for member in sorted(owned, key=partial(_by_need, set_))]}


def _by_need(set_: Object, member: Object) -> tuple[bool, int, str]:
    ordinal = ordinal_of(set_, member)
    return is_ready(member), -1 if ordinal is None else ordinal, name_of(member)


def _member_row(member: Object) -> Row:
    status = member.get("status") or {}
    condition = find_condition(status.get("conditions"), STALLED) or find_condition(status.get("conditions"), "Ready") or _UNREPORTED
    found = {"workload": name_of(member), "phase": status.get("phase") or "Pending", "host": (status.get("host") or {}).get("name") or ""}
    return {
        **found,
        "reason": condition["reason"],
        "message": "" if condition["status"] == "True" and condition.get("type") == "Ready" else condition["message"],
    }


def _lease(status: Object) -> str:
    """Return when the Workload's lease ends, or nothing."""
    lease = status.get("lease")
    if not lease:
        return ""
    minutes = max(0, int(seconds_of(lease["expirationTimestamp"]) - time.time())) // 60
    left = f"{minutes // 1440}d {minutes % 1440 // 60}h" if minutes >= 1440 else f"{minutes // 60}h {minutes % 60}m"
    return f"; its lease ends at {lease['expirationTimestamp']}, in {left}"


def why_not(host: Object, workload: Object, namespace_uid: str) -> Row:
    """Return why a waiting Workload does not get the host, and what would change that.

    A host that is in use is compared as well: when it becomes free, it may still not fit."""
    if not (host.get("status") or {}).get("report"):
        return {"why": "is not reported by its source yet", "to_free": ""}
    want = replace(requirements_of(workload, namespace_uid), rules=rules_of(workload, [], {}))
    machine = candidate(host)
    unfit, open_ = unsuitable_reason(machine, want), unfit_reason(machine, want) != NOT_OPEN
    if unfit is not None:
        return {"why": f"does not fit: it {singular(unfit)}", "to_free": "change the Workload's requirements, hostSelector or placement"}
    if (phrase := unavailable_phrase(host)) is None and open_:
        if workload["spec"].get("placement") or workload["spec"].get("gang"):
            return {
                "why": "fits and is free",
                "to_free": "it is bound as soon as the Workload's placement and gang allow it: see its message",
            }
        return {"why": "fits and is free", "to_free": _when_bound(workload)}
    if phrase is None and not is_open_to(reserved_for(host), namespace_uid):
        return {"why": "fits, but is reserved for another namespace", "to_free": _to_return(host["spec"]["reservedFor"])}
    return {"why": f"fits, but {singular(phrase)}" if phrase else "fits, but holds another namespace's data", "to_free": _to_free(host)}


def _when_bound(workload: Object) -> str:
    """Return when the Workload gets a host that is free and fits."""
    told = find_condition((workload.get("status") or {}).get("conditions"), "Ready") or {}
    if told.get("reason") == "QuotaExceeded":
        return "a quota has no room: ask for a larger one, or require a smaller machine (see the Workload's message)"
    return "it is bound in a moment"


def _to_return(reservation: Object) -> str:
    """Return what ends the Reservation of a host, or gives it another one."""
    named = f"the Reservation {reservation['name']} of {reservation['namespace']}"
    return f"{named} ends or asks for fewer hosts, or a Workload of {reservation['namespace']} takes another host that counts for it"


def _to_free(host: Object) -> str:
    claim, status = host["spec"].get("claimRef"), host["status"]
    released = f"the tenant of {claim['namespace']} deletes the Workload {claim['name']}" if claim else ""
    if host["spec"].get("unschedulable"):
        return f"{_uncordon(host).partition(': ')[2]}, and {released}" if released else _uncordon(host)
    if released:
        return released
    if status.get("dirtyFor"):
        return f"clean it: its disks hold data of the namespace {status['dirtyFor']}"
    return status.get("message") or "see kubectl describe host"


def claims(host: Object) -> list[Row]:
    """Return the claims of the host, the latest first. A present claim without a record was made by
    an earlier version."""
    recorded = list((host.get("status") or {}).get("history") or ())
    claim = host["spec"].get("claimRef")
    if claim and not any(item["uid"] == claim["uid"] and "releasedAt" not in item for item in recorded):
        recorded.append(claim)
    return recorded[::-1]
