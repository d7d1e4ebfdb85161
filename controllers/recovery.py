"""Define the options and the result of a recovery.

A recovery gives hosts back to their Workloads after the store of the management cluster was lost.
Each provider knows what is recorded on its machines, and carries the recovery out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Options", "RecoverError", "Summary"]


class RecoverError(Exception):
    """Reports that nothing can be recovered. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to recover.

    Empty `namespaces` or `classes` mean all. `create` says whether lost Workloads are created
    again, and `timeout` is how many seconds to wait until a Workload has its host again."""

    namespaces: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    create: bool = True
    dry_run: bool = False
    timeout: float = 120.0


@dataclass(slots=True)
class Summary:
    """The result, as namespace/name of the Workloads."""

    recovered: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
