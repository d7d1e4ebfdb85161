"""Identify the commit that this program was built from, and the date of the build.

The image's build writes both into the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""The date that components of Kubernetes report if they were built without a stamp."""


@dataclass(frozen=True, slots=True)
class Build:
    """The stamp of a build. `commit` is empty without a stamp, as in a checkout. `tree`: clean or
    dirty."""

    commit: str = ""
    date: str = UNKNOWN_DATE
    tree: str = ""

    @classmethod
    def stamped(cls, environment: Mapping[str, str] = os.environ) -> Build:
        """Read the stamp from the environment, which the Containerfile's build arguments set.

        A date, or a state of the tree, without a commit is no stamp."""
        commit = environment.get("METAL3_WORKLOADS_COMMIT", "")
        if not commit:
            return cls()
        return cls(commit, environment.get("METAL3_WORKLOADS_DATE") or UNKNOWN_DATE, environment.get("METAL3_WORKLOADS_TREE", ""))

    def __str__(self) -> str:
        if not self.commit:
            return "not a release: its commit and date are unknown"
        return f"commit {self.commit}{' with local changes' if self.tree == 'dirty' else ''}, {self.date}"
