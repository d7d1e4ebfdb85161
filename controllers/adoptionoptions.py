"""Define the options and the result of an adoption.

An adoption gives tenants hosts that their owner uses, without stopping what runs on them. Each
provider knows what to record on its machines, and carries the adoption out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from apiserver.client.objects import Object, name_of
from controllers.classaccess import default_class
from controllers.resumable import Blocked, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(RunOptions):
    """Select what to adopt.

    `hosts` are names of real hosts, as NAME or NAMESPACE/NAME. Without names, the adoption takes
    all hosts that consumers of the namespace have. `workload` is the name of the Workload, by
    default the name of the host. `timeout` is in seconds, for each host."""

    namespace: str
    hosts: Sequence[str] = ()
    workload: str = ""
    copy_secrets: bool = False
    undo: bool = False


@dataclass(slots=True)
class Summary:
    """List the outcome of each host, by the host's name. `waiting` has the hosts whose consumer has
    not taken them over yet."""

    done: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def chosen_class(classes: Sequence[Object], name: str) -> Object:
    """Return the class with this name; without a name, the only one or the default one.

    Raises Blocked if there is none."""
    if not classes:
        raise Blocked("there is no WorkloadClass: create one for the hosts first")
    by_name = {name_of(class_): class_ for class_ in classes}
    found = by_name.get(name) if name else classes[0] if len(classes) == 1 else default_class(classes)
    if found is None:
        raise Blocked(f"say which class the hosts belong to, with --class: {', '.join(sorted(by_name))}")
    return found
