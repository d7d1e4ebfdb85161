"""Define the options and the result of an adoption.

An adoption gives hosts that their owner uses to tenants, as they run. Each provider knows what has
to be recorded on its machines, and carries the adoption out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from apiserver.client.objects import Object, name_of
from controllers.classaccess import default_class
from controllers.resumable import Blocked, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(RunOptions):
    """What to adopt.

    `hosts` are names of real hosts, as NAME or NAMESPACE/NAME. Without names, all hosts are meant
    that consumers of the namespace have. `workload` is the name of the Workload, by default the
    host's. The timeout is for each host."""

    namespace: str
    hosts: Sequence[str] = ()
    workload: str = ""
    copy_secrets: bool = False
    undo: bool = False


@dataclass(slots=True)
class Summary:
    """The result, by the names of the hosts. `waiting` are those whose consumer has not taken them
    over yet."""

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
