"""Which marks on shared hosts are this management cluster's own. Pure.

Hosts bear the name of the management cluster that has them, or whose data is on them: the class's `identity`, or else the management
cluster's own id, which no other one has. Marks without a name were written by earlier versions, or by clusters without an id.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Identity", "identity_of"]


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is what is written; what bears one of the `former` names is one's own, too."""

    name: str = ""
    former: frozenset[str] = frozenset()

    def owns(self, name: str) -> bool:
        """Whether a mark with this name is one's own."""
        return name == self.name or name in self.former


def identity_of(given: str, cluster_id: str) -> Identity:
    """By the class's `identity` and the management cluster's id, either of which may be empty.

    Marks without a name are taken for one's own only where nobody has given one: who gives names has several clusters on the same hosts."""
    if given:
        return Identity(given, frozenset({cluster_id} - {""}))
    return Identity(cluster_id, frozenset({""}))
