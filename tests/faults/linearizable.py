"""Decide whether a concurrent history of a Store is linearizable, with Wing and Gong's search.

Lowe's memory of tried states is included. Every call must take effect at one moment between its
start and its end, so that the outcomes are those of a sequential map. Calls with unknown outcome
are not supported: record histories of a store that answers. In the worst case, the time is
exponential in the number of concurrent calls. Revisions, which order commits, keep it close to
linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.base import Put

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.base import Operation

Values = tuple[tuple[str, bytes, int], ...]
"""Keys in order, with value and revision."""


@dataclass(frozen=True, slots=True)
class State:
    """The map, and the revision of its last commit."""

    items: Values
    revision: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit that was acknowledged. It has changed something."""

    operations: tuple[Operation, ...]
    revision: int

    def after(self, state: State) -> State | None:
        """Return the resulting state; None if the call cannot take effect now."""
        items = {key: (value, revision) for key, value, revision in state.items}
        if self.revision <= state.revision or any(
            operation.expected not in (None, items[operation.key][1] if operation.key in items else 0) for operation in self.operations
        ):
            return None
        for operation in self.operations:
            items.pop(operation.key, None)
            if isinstance(operation, Put):
                items[operation.key] = operation.value, self.revision
        return State(tuple((key, *items[key]) for key in sorted(items)), self.revision)


@dataclass(frozen=True, slots=True)
class Conflicted:
    """A commit that was refused because `key` had the revision `actual`, 0 for none."""

    key: str
    actual: int

    def after(self, state: State) -> State | None:
        found = next((revision for key, _, revision in state.items if key == self.key), 0)
        return state if found == self.actual else None


@dataclass(frozen=True, slots=True)
class Got:
    """A read of one key. `found`: its value and revision."""

    key: str
    found: tuple[bytes, int] | None

    def after(self, state: State) -> State | None:
        found = next(((value, revision) for key, value, revision in state.items if key == self.key), None)
        return state if found == self.found else None


@dataclass(frozen=True, slots=True)
class Listed:
    """A read of everything, reported as of `revision`."""

    items: Values
    revision: int

    def after(self, state: State) -> State | None:
        return state if self.items == state.items and self.revision >= state.revision else None


Outcome = Committed | Conflicted | Got | Listed


@dataclass(frozen=True, slots=True)
class Call:
    """The result of a client's call, and the two ticks of one clock around it."""

    start: int
    end: int
    outcome: Outcome


def first_impossible(state: State, calls: Sequence[Call]) -> Call | None:
    """Return None if the history is linearizable from `state`.

    Otherwise return the call at which the furthest attempt ended."""
    calls = sorted(calls, key=lambda call: call.start)
    everything = (1 << len(calls)) - 1
    tried: set[tuple[int, State]] = set()
    furthest, stuck = -1, None
    attempts = [(0, state)]
    while attempts:
        done, now = attempts.pop()
        if done == everything:
            return None
        if (done, now) in tried:
            continue
        tried.add((done, now))
        possible = list(_next(calls, done))
        if done.bit_count() > furthest:
            furthest, stuck = done.bit_count(), min((calls[index] for index in possible), key=lambda call: call.end)
        for index in possible:
            after = calls[index].outcome.after(now)
            if after is not None:
                attempts.append((done | 1 << index, after))
    return stuck


def _next(calls: Sequence[Call], done: int) -> Iterator[int]:
    """Yield the open calls that began before any other of them ended. One of them took effect
    next."""
    index = (~done & (done + 1)).bit_length() - 1  # the first that is not done
    earliest = calls[index].end
    while index < len(calls) and calls[index].start < earliest:
        if not done >> index & 1:
            earliest = min(earliest, calls[index].end)
            yield index
        index += 1
