"""Find the origin of a view through all relays, so that a host of this cluster does not appear in
it as a second host.

Every view names the Host behind it (status.provisioning.ID). A relay records that name, and the
names recorded before, in an annotation of its report. If one of them is a Host of this cluster, the
view shows a machine of this cluster.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.apis.host import host_name
from apiserver.client.objects import Object, annotations_of, uid_of
from controllers.providers.baremetalhost import names

RELAYED = f"{names.OURS}relayed"
"""The annotation of a view that came through relays: the Hosts behind it, the nearest first,
separated by commas."""


def hosts_behind(view: Object) -> list[str]:
    """Return the names of the Hosts behind a view, the nearest first."""
    nearest = ((view.get("status") or {}).get("provisioning") or {}).get("ID") or ""
    return [name for name in [nearest, *annotations_of(view).get(RELAYED, "").split(",")] if name]


def is_loop(view: Object, has_host: Callable[[str], bool]) -> bool:
    """Return whether the view shows a machine that this cluster has through fewer relays."""
    # The view's own Host here has the same name as the Host there if the uid was passed on.
    own = host_name(uid_of(view))
    return any(has_host(name) for name in hosts_behind(view) if name != own)
