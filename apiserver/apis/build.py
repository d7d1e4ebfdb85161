"""Which commit this program was built from, and when. The image's build notes it in the
environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Build"]

UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""What Kubernetes' components answer that were built without a stamp."""


@dataclass(frozen=True, slots=True)
class Build:
    """What a build was stamped with: `commit` is empty where there was no stamp, as in a checkout.
    `tree`: clean or dirty."""

    commit: str = ""
    date: str = UNKNOWN_DATE
    tree: str = ""

    @classmethod
    def stamped(cls, environment: Mapping[str, str] = os.environ) -> Build:
        """Read the stamp of the Containerfile's build arguments. A date, or a state of the tree,
        without a commit is no stamp."""
        commit = environment.get("METAL3_WORKLOADS_COMMIT", "")
        if not commit:
            return cls()
        return cls(commit, environment.get("METAL3_WORKLOADS_DATE") or UNKNOWN_DATE, environment.get("METAL3_WORKLOADS_TREE", ""))

    def __str__(self) -> str:
        if not self.commit:
            return "not a release: its commit and date are unknown"
        return f"commit {self.commit}{' with local changes' if self.tree == 'dirty' else ''}, {self.date}"
