"""Run mutating policies and webhooks, and reinvoke those with reinvocationPolicy IfNeeded.

Source: admission/reinvocation.go of k8s.io/apiserver."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from apiserver.admission.mutation import permitted
from apiserver.registry.generic.attributes import Attributes


@dataclass(slots=True)
class Calls:
    """The calls that one Mutator made for a write.

    `round` is 0 or 1. In round 1, only the keys in `_again` are called. `_done` has the keys that
    were called, and are called again if the object changes later."""

    round: int = 0
    mutated: bool = False
    _again: set[Hashable] = field(default_factory=set)
    _done: set[Hashable] = field(default_factory=set)
    _output: Any = None

    def due(self, key: Hashable) -> bool:
        """Return whether to call a webhook or a policy in this round."""
        return self.round == 0 or key in self._again

    def made(self, key: Hashable, *, changed: bool, again: bool) -> None:
        """Record a call. `again` says whether to repeat it after later changes."""
        if changed:
            self.changed()
        if again:
            self._done.add(key)

    def changed(self) -> None:
        """Record that the object changed after all calls so far."""
        self.mutated = True
        self._again |= self._done
        self._done = set()

    def begin(self, round: int, obj: Any) -> None:
        """Begin a round with this object, which others may have changed."""
        self.round = round
        if round and obj != self._output:
            self.changed()

    def end(self, obj: Any) -> None:
        """End a round that left this object."""
        self._output = obj


class Mutator(Protocol):
    """Changes objects before they are validated."""

    async def mutate(self, attributes: Attributes, calls: Calls) -> Attributes:
        """Return the write with its changed object. Raises ApiError."""


class Mutators:
    """The Admission of mutators, in order. If one changed the object, all have a second round."""

    def __init__(self, *mutators: Mutator) -> None:
        self._mutators = mutators

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Return the object, normalized if it was changed. See Admission."""
        calls = [Calls() for _ in self._mutators]
        after = await self._round(0, attributes, calls)
        if any(one.mutated for one in calls):
            after = await self._round(1, after, calls)
        return attributes.new if after.new is attributes.new or after.new is None else permitted(attributes, after.new)

    async def _round(self, number: int, attributes: Attributes, calls: Sequence[Calls]) -> Attributes:
        for mutator, made in zip(self._mutators, calls, strict=True):
            made.begin(number, attributes.new)
            attributes = await mutator.mutate(attributes, made)
            made.end(attributes.new)
        return attributes
