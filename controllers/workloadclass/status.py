"""How many hosts each class has, by what can be done with them; kept up to date from Host events, so that nobody has to count. No I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apiserver.client.objects import Object

__all__ = ["HostCounts", "traits"]

KEYS = ("total", "free", "claimed", "unhealthy", "dirty")
UNHEALTHY = {"Unhealthy", "HostError", "HostGone", "Quarantined", "Orphaned"}


class HostCounts:
    """The hosts of every class, counted. A host that is free may be dirty, too."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def update(self, old: Object | None, new: Object | None) -> bool:
        """Takes in a Host's change. False if it changes no count."""
        before, after = traits(old), traits(new)
        if before == after:
            return False
        for (class_name, found), sign in ((before, -1), (after, 1)):
            for key in found:
                self._counts[class_name][key] += sign
        return True

    def of(self, class_name: str) -> dict[str, int]:
        """As it is said in the class's status."""
        return {key: self._counts[class_name][key] for key in KEYS}


def traits(host: Object | None) -> tuple[str, tuple[str, ...]]:
    """The class of a Host, and what it counts as."""
    if host is None:
        return "", ()
    status, claimed = host.get("status") or {}, bool(host["spec"].get("claimRef"))
    found = {
        "total": True,
        "free": bool(status.get("available")) and not claimed,
        "claimed": claimed,
        "unhealthy": status.get("reason") in UNHEALTHY,
        "dirty": bool(status.get("dirtyFor")),
    }
    return host["spec"]["className"], tuple(key for key in KEYS if found[key])
