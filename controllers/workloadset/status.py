"""Compute a set's status from its members. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from apiserver.client.clock import timestamp
from apiserver.client.objects import Object, name_of
from controllers.leaseended import LEASE_ENDED, leases_ended
from controllers.quotacharges import is_of_quota
from controllers.runtime.conditions import condition, find_condition, is_true, set_conditions
from controllers.workloadset.members import is_between, is_ready, runs_nothing
from controllers.workloadset.plan import Members, is_available, is_rolling

MESSAGE = 1024
"""The most characters of a message that repeats what a member or the server says."""
STALLED = "Stalled"
REFUSED = "CreationRefused"
SET_STATES = ("ready", "progressing", "paused", "quota", "refused", "stalled")


class Finding(NamedTuple):
    """Says why a set does not have its desired state.

    `works`: whether the set is progressing. `final`: whether only a change of an object helps."""

    reason: str
    message: str
    works: bool = False
    final: bool = False


def set_status(set_: Object, members: Members, refused: Finding | None, now: datetime) -> Object:
    """Return the status of the set. `refused`: why a member could not be created."""
    present = members.all
    available = sum(is_available(set_, member, now) for member in present)
    finding = refused or _finding(set_, members, now)
    return {
        "observedGeneration": set_["metadata"].get("generation"),
        "replicas": len(present),
        "readyReplicas": sum(map(is_ready, present)),
        "availableReplicas": available,
        "updatedReplicas": sum(not members.is_outdated(member) for member in present),
        "conditions": _conditions(set_, finding, available, timestamp(now)),
    }


def state_of_set(set_: Object) -> str:
    """Return one of SET_STATES. While the server refuses a member for a reason that may pass, it is
    quota or refused. A set is stalled where only a change of it or of a member helps."""
    conditions = (set_.get("status") or {}).get("conditions")
    if is_true(conditions, "Ready"):
        return "ready"
    if is_true(conditions, STALLED):
        return "stalled"
    ready = find_condition(conditions, "Ready") or {}
    if ready.get("reason") == REFUSED:
        return "quota" if is_of_quota(ready["message"]) else "refused"
    return "paused" if ready.get("reason") == "Paused" else "progressing"


def _conditions(set_: Object, finding: Finding | None, available: int, now: str) -> list[Object]:
    generation, current = set_["metadata"].get("generation"), (set_.get("status") or {}).get("conditions")
    wanted = [_available(set_, available, generation)]
    if finding is None:
        wanted.append(condition("Progressing", False, "Complete", "all members are as asked for", generation=generation))
        wanted.append(condition("Ready", True, "Ready", "all members are as asked for", generation=generation))
    else:
        wanted.append(condition("Progressing", finding.works, finding.reason, finding.message, generation=generation))
        wanted.append(condition("Ready", False, finding.reason, finding.message, generation=generation))
    past = (STALLED,) if leases_ended(set_) is not None else (STALLED, LEASE_ENDED)
    found = [item for item in set_conditions(current, wanted, now) if item["type"] not in past]
    if finding is None or not finding.final:
        return found
    stalled = condition(STALLED, True, finding.reason, finding.message, generation=generation)
    return [*found, *set_conditions([item for item in current or () if item["type"] == STALLED], [stalled], now)]


def _available(set_: Object, available: int, generation: int | None) -> Object:
    replicas = set_["spec"]["replicas"]
    least = min(set_["spec"].get("minAvailable") or replicas, replicas)
    enough = available >= least
    text = f"{available} members are available, of at least {least} that are asked for"
    return condition("Available", enough, "MinimumAvailable" if enough else "TooFewAvailable", text, generation=generation)


def _finding(set_: Object, members: Members, now: datetime) -> Finding | None:
    """Return the first reason why the set does not have its desired state, or None."""
    if set_["spec"].get("paused"):
        return Finding("Paused", "spec.paused is true: members are left as they are")
    if members.taken:
        what = (
            f"Workload {members.taken[0]} exists and is not a member: give it the labels of spec.selector to make it one, or create a "
            "set of another name"
        )
        return Finding("NameTaken", what, final=True)
    if members.missing and (ended := leases_ended(set_)) is not None:
        return Finding(LEASE_ENDED, ended["message"], final=True)
    if members.missing or members.excess or members.leaving:
        return Finding("Scaling", f"{len(members.all)} of {set_['spec']['replicas']} members exist", works=True)
    outdated = [member for member in members.current.values() if members.is_outdated(member)]
    kept = [member for member in outdated if not (is_between(member) or runs_nothing(member))]
    if kept and not is_rolling(set_):
        return Finding("UpdateRefused", _kept(len(kept), len(members.current)), final=True)
    waiting = next((member for member in _by_progress(members) if not is_available(set_, member, now)), None)
    if outdated:
        return _updating(set_, len(outdated), waiting)
    return _waiting(set_, waiting, now) if waiting is not None else None


def _by_progress(members: Members) -> list[Object]:
    """Return the members, the updated ones first, because the others wait for them."""
    return sorted(members.current.values(), key=lambda member: members.is_outdated(member) and not is_between(member))


def _kept(outdated: int, replicas: int) -> str:
    return (
        f"{outdated} of {replicas} members run an earlier template (spec.updateStrategy.type is OnDelete): set spec.template back to "
        "keep what runs, or set the type to RollingUpdate, which wipes the members one after the other and installs the template"
    )


def _updating(set_: Object, outdated: int, waiting: Object | None) -> Finding:
    done = set_["spec"]["replicas"] - outdated
    text = f"{done} of {set_['spec']['replicas']} members were made from the present template"
    if waiting is None:
        return Finding("Updating", text, works=True)
    return Finding("Updating", f"{text}; the update waits for {_ready_message(waiting)}"[:MESSAGE], works=True, final=_is_stalled(waiting))


def _waiting(set_: Object, member: Object, now: datetime) -> Finding:
    if is_ready(member):
        text = f"{name_of(member)} is Ready, and counts as available after {set_['spec'].get('minReadySeconds')} s"
        return Finding("MinReadySeconds", text, works=True)
    return Finding("MemberNotReady", _ready_message(member)[:MESSAGE], works=True, final=_is_stalled(member))


def _ready_message(member: Object) -> str:
    """Return the member's name with the message of its condition Ready or Bound."""
    conditions = (member.get("status") or {}).get("conditions")
    found = find_condition(conditions, "Ready") or find_condition(conditions, "Bound")
    return f"{name_of(member)}: {found['reason']}: {found['message']}" if found is not None else f"{name_of(member)}, which is new"


def _is_stalled(member: Object) -> bool:
    return is_true((member.get("status") or {}).get("conditions"), STALLED)
