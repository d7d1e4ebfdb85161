"""Detect that etcd was restored from an older snapshot.

Restoring a snapshot sets the revision back. The next revisions were already used for other states,
and clients that know those states would miss changes. A restored etcd has another cluster ID or
raft term, which the header of every answer contains. Otherwise a revision never decreases. A record
in the store contains the IDs of the time when it was written. Servers that start after a restore
detect it by this record. A snapshot that was restored with --bump-revision has only new revisions,
and everything older is compacted; such an etcd may be served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from storage.base import RolledBack

BUMPED = 1_000_000
"""The smallest number of revisions by which a restored etcd must be ahead of its record.

An etcd that was restored without --bump-revision never is, because the record is renewed."""

_RENEWED = 10_000
"""The number of revisions after which the record is renewed."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of etcd in one answer: cluster ID ("" if unknown), raft term and revision."""

    cluster: str
    term: int
    revision: int

    def encode(self) -> bytes:
        """Return the record to store. The revision is left out because the key has it."""
        return orjson.dumps({"cluster": self.cluster, "term": self.term})

    @classmethod
    def decode(cls, value: bytes, revision: int) -> Fingerprint:
        """Return a record with the revision of its key."""
        content = orjson.loads(value)
        return cls(content["cluster"], content["term"], revision)

    def outdated(self, now: Fingerprint) -> bool:
        """Return whether this record must be written again."""
        return (self.cluster, self.term) != (now.cluster, now.term) or now.revision - self.revision > _RENEWED


def fingerprint_of(answer: Mapping[str, Any]) -> Fingerprint:
    """Return the identity from the header of an answer to a linearizable call."""
    header = answer["header"]
    return Fingerprint(header.get("cluster_id", ""), int(header.get("raft_term", 0)), int(header.get("revision", 0)))


class RestoreDetector:
    """The known identity of the etcd at `where`.

    Every answer is checked against the identity that was known when the request was sent."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.known = Fingerprint("", 0, 0)

    def check(self, before: Fingerprint, now: Fingerprint) -> None:
        """Check the identity `now` against `before`, and remember it. Raises RolledBack.

        `now` comes from the answer to a linearizable call. `before` was known earlier, or is a
        stored record."""
        if not _follows(before, now):
            raise RolledBack(
                f"etcd at {self._where} is at revision {now.revision} of cluster {now.cluster}, but was at {before.revision} of cluster "
                f"{before.cluster} before: an older state was put in its place, and its next revisions have been given out already. "
                "Stop all servers, restore the snapshot once more with etcdutl snapshot restore --bump-revision 1000000000 "
                "--mark-compacted and a new --initial-cluster-token, and start them again"
            )
        if now.cluster == self.known.cluster:
            now = Fingerprint(now.cluster, max(now.term, self.known.term), max(now.revision, self.known.revision))
        self.known = now


def _follows(before: Fingerprint, now: Fingerprint) -> bool:
    same = "" in (before.cluster, now.cluster) or (before.cluster == now.cluster and before.term <= now.term)
    return now.revision >= before.revision + (0 if same else BUMPED)
