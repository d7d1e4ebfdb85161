"""Where a view comes from, over all relays in between: so that a host that leads back to this cluster is not taken for another one. Pure.

Every view names the Host behind it (status.provisioning.ID). A relay notes that name, and those noted before, in an annotation of what it
reports; a view that has one of this cluster's own Hosts among them is this cluster's machine, come around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.host import host_name
from apiserver.client.objects import Object, annotations_of, uid_of
from controllers.providers.baremetalhost import names

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RELAYED", "leads_back", "lineage"]

RELAYED = f"{names.OURS}relayed"
"""Annotation of a view that came through relays: the Hosts behind it, nearest first, separated by commas."""


def lineage(view: Object) -> list[str]:
    """The names of the Hosts behind a view, nearest first."""
    nearest = ((view.get("status") or {}).get("provisioning") or {}).get("ID") or ""
    return [name for name in [nearest, *annotations_of(view).get(RELAYED, "").split(",")] if name]


def leads_back(view: Object, has_host: Callable[[str], bool]) -> bool:
    """Whether the view shows a machine that this cluster has by a shorter way."""
    own = host_name(uid_of(view))  # what it is here: the same as there, where the uid was passed through
    return any(has_host(name) for name in lineage(view) if name != own)
