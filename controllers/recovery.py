"""Define the options and the result of a recovery.

A recovery gives hosts back to their Workloads after the store of the management cluster was lost.
Each provider knows what is recorded on its machines, and carries the recovery out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from controllers.resumable import RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(RunOptions):
    """Select what to recover.

    Empty `namespaces` or `classes` mean all. `create` says whether lost Workloads are created
    again. `timeout` is in seconds, for each Workload to have its host again."""

    namespaces: Collection[str] = ()
    classes: Collection[str] = ()
    create: bool = True


@dataclass(slots=True)
class Summary:
    """List the Workloads by their outcome, as NAMESPACE/NAME."""

    recovered: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __add__(self, other: Summary) -> Summary:
        """Return both results together."""
        return Summary(self.recovered + other.recovered, self.waiting + other.waiting, self.failed + other.failed)
