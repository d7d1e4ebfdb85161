"""Decide which marks on shared hosts belong to this management cluster.

A mark on a host names the management cluster that has the host, or whose data is on it. This name
is the class's `identity` or, by default, the id of the management cluster, which is unique. Marks
without a name were written by earlier versions, or by clusters without an id.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The names of this management cluster. `name` is written; marks with one of the `former` names
    are our own too."""

    name: str = ""
    former: frozenset[str] = frozenset()

    def owns(self, name: str) -> bool:
        """Return whether a mark with this name is our own."""
        return name == self.name or name in self.former


def identity_of(given: str, cluster_id: str) -> Identity:
    """Return the identity for the class's `identity` and the management cluster's id; either may be
    empty.

    Marks without a name are our own only if no `identity` is given: with an `identity`, several
    clusters share the hosts."""
    if given:
        return Identity(given, frozenset({cluster_id} - {""}))
    return Identity(cluster_id, frozenset({""}))
