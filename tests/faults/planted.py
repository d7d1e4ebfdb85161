"""Define stores with one bug each, for the checker to find: every `every`-th opportunity is
used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storage.base import KeyValue, Operation


class _Buggy(SQLiteStore):
    def __init__(self, path: Path, every: int = 4) -> None:
        super().__init__(path, synchronous="off")
        self._every, self._chances = every, 0
        self._last: dict[str, KeyValue | None] = {}

    def _now(self) -> bool:
        self._chances += 1
        return self._chances % self._every == 0


class LosesUpdates(_Buggy):
    """Acknowledges a commit that never happens."""

    async def commit(self, operations: Sequence[Operation]) -> int:
        if not self._now():
            return await super().commit(operations)
        return await self.current_revision() + 1


class ReadsStale(_Buggy):
    """Answers with the key's value at the last read."""

    async def get(self, key: str) -> KeyValue | None:
        stale, self._last[key] = self._last.get(key), await super().get(key)
        return stale if self._now() else self._last[key]


class TearsCommits(_Buggy):
    """Divides one commit into two."""

    async def commit(self, operations: Sequence[Operation]) -> int:
        if len(operations) == 1 or not self._now():
            return await super().commit(operations)
        await super().commit(operations[:1])
        return await super().commit(operations[1:])
