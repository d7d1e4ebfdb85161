"""Decide what a set does next: which members are created, deleted and updated. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from apiserver.client.objects import Object, deleting, labels_of
from controllers import kinds
from controllers.workloadset.members import (
    is_between,
    is_lost,
    is_ready,
    is_replaced,
    is_settled,
    member_name,
    ordinal_of,
    ready_for,
    revision_of,
    runs_nothing,
)

AT_ONCE = 16
"""The most members that one turn of a set creates, deletes or changes. Other sets have turns in
between."""


@dataclass(slots=True)
class Members:
    """The members of a set by their state. Ordinals beyond spec.replicas are `excess`."""

    revision: str
    """The revision of the present template."""
    current: dict[int, Object] = field(default_factory=dict)
    """Those that are not being deleted."""
    leaving: dict[int, Object] = field(default_factory=dict)
    """Those that are being deleted."""
    excess: list[Object] = field(default_factory=list)
    """Those to delete, because spec.replicas is lower; the highest ordinals first."""
    missing: list[int] = field(default_factory=list)
    """The ordinals that no Workload has."""
    taken: list[str] = field(default_factory=list)
    """The names of Workloads that are not members, but have a member's name."""

    def is_outdated(self, member: Object) -> bool:
        """Return whether the member was made from another template."""
        return labels_of(member).get(kinds.TEMPLATE_REVISION) != self.revision

    @property
    def all(self) -> list[Object]:
        """Return all members that are not being deleted."""
        return [*self.current.values(), *self.excess]


def sort_members(set_: Object, members: Iterable[Object], others: Mapping[int, Object]) -> Members:
    """Return the members by their state.

    `others` are the Workloads with a member's name that the set does not control, by ordinal."""
    wanted, found = set_["spec"]["replicas"], Members(revision_of(set_["spec"]["template"]["spec"]))
    by_ordinal = {number: member for member in members if (number := ordinal_of(set_, member)) is not None}
    for number, member in sorted(by_ordinal.items()):
        if deleting(member):
            found.leaving[number] = member
        elif number >= wanted:
            found.excess.insert(0, member)
        else:
            found.current[number] = member
    for number in range(wanted):
        if number in others and deleting(others[number]):
            found.leaving[number] = others[number]
        elif number in others:
            found.taken.append(member_name(set_, number))
        elif number not in by_ordinal:
            found.missing.append(number)
    return found


def is_available(set_: Object, member: Object, now: datetime) -> bool:
    """Return whether the member has been Ready for minReadySeconds."""
    return is_ready(member) and ready_for(member, now) >= (set_["spec"].get("minReadySeconds") or 0)


def _is_done(set_: Object, member: Object, now: datetime) -> bool:
    """Return whether the member has its desired state, so that another member may be updated."""
    return is_settled(member) and (not is_ready(member) or is_available(set_, member, now))


def is_rolling(set_: Object) -> bool:
    """Return whether the owner consents to the installation of a changed template."""
    return (set_["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate"


def most_unavailable(set_: Object) -> int:
    """Return the number of members that an update may make unavailable at the same time."""
    return int(((set_["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable") or 1)


def to_update(set_: Object, members: Members, now: datetime) -> list[Object]:
    """Return the outdated members that may be updated now.

    Members with nothing installed have nothing to lose, and are updated at once. Running members
    are updated only with consent, and only while fewer than maxUnavailable members lack their
    desired state. Members that have failed come first, because their update makes no other member
    unavailable. So setting the former template back repairs them."""
    kept = [member for _, member in sorted(members.current.items(), reverse=True) if not is_lost(member)]
    outdated = [member for member in kept if members.is_outdated(member)]
    free = [member for member in outdated if is_between(member) or runs_nothing(member)]
    if not is_rolling(set_):
        return [member for member in free if is_between(member) or not is_replaced(set_, member)]
    running = [member for member in outdated if not (is_between(member) or runs_nothing(member))]
    failed = [member for member in running if not _is_done(set_, member, now)]
    fine = [member for member in running if _is_done(set_, member, now)]
    finished = sum(not members.is_outdated(member) and _is_done(set_, member, now) for member in kept)
    slots = max(0, most_unavailable(set_) - (set_["spec"]["replicas"] - len(running) - finished))
    chosen = failed[:slots]
    return [*free, *chosen, *fine[: max(0, slots - max(len(failed), len(chosen)))]]


def lost(members: Members) -> list[Object]:
    """Return the members that can never run, and have nothing to lose."""
    return [member for member in members.current.values() if is_lost(member)]
