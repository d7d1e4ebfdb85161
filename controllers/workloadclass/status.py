"""Count each class's hosts by their availability, updated by Host events."""

from __future__ import annotations

from collections import Counter, defaultdict

from apiserver.apis.host import reserved_for, unavailable_reason
from apiserver.client.objects import Object

KEYS = ("total", "free", "claimed", "unavailable", "unhealthy", "dirty", "reserved")
UNHEALTHY = {"Unhealthy", "NotHealthy", "HostError", "HostGone", "Quarantined", "Orphaned"}


class HostCounts:
    """Counts the hosts of every class. A free host may be counted as dirty or reserved, too."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def update(self, old: Object | None, new: Object | None) -> bool:
        """Process a Host's change. Return False if no count changes."""
        before, after = traits(old), traits(new)
        if before == after:
            return False
        for (class_name, found), sign in ((before, -1), (after, 1)):
            for key in found:
                self._counts[class_name][key] += sign
        return True

    def of(self, class_name: str) -> dict[str, int]:
        """Return the counts for the class's status."""
        return {key: self._counts[class_name][key] for key in KEYS}


def traits(host: Object | None) -> tuple[str, tuple[str, ...]]:
    """Return the class of a Host, and the counts to which it belongs."""
    if host is None:
        return "", ()
    status, claimed = host.get("status") or {}, bool(host["spec"].get("claimRef"))
    free = unavailable_reason(host) is None
    found = {
        "total": True,
        "free": free,
        "claimed": claimed,
        "unavailable": not free and not claimed,
        "unhealthy": status.get("reason") in UNHEALTHY,
        "dirty": bool(status.get("dirtyFor")),
        "reserved": free and reserved_for(host) is not None,
    }
    return host["spec"]["className"], tuple(key for key in KEYS if found[key])
