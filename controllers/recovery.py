"""Give hosts back to their Workloads after the store of the management cluster was lost, while their machines run on.

What is noted on machines is their provider's business. Here is what a recovery is asked for, and what it reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Options", "RecoverError", "Summary"]


class RecoverError(Exception):
    """Nothing can be recovered; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """`namespaces`, `classes`: only these; all when empty. `create`: whether lost Workloads are created again. `timeout`: seconds to wait
    until a Workload has its host again."""

    namespaces: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    create: bool = True
    dry_run: bool = False
    timeout: float = 120.0


@dataclass(slots=True)
class Summary:
    """What came of it, by namespace/name of the Workloads."""

    recovered: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
