"""Check which mutators are called again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.admission.reinvocation import Calls, Mutators
from tests.unit.apiserver.admission.writes import thing, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apiserver.registry.generic.attributes import Attributes


class Adding:
    """A mutator of several callees. Each adds its number to the size, and may be reinvoked."""

    def __init__(self, *callees: tuple[str, int, bool]) -> None:
        self.callees, self.called = callees, list[str]()

    async def mutate(self, attributes: Attributes, calls: Calls) -> Attributes:
        """See Mutator."""
        for name, more, again in self.callees:
            if calls.due(name):
                self.called.append(f"{name}{calls.round}")
                new: dict[str, Any] = {**attributes.new, "spec": {"size": attributes.new["spec"]["size"] + more}}  # type: ignore[index,dict-item] # a webhook has a new object
                attributes = attributes._replace(new=new)
                calls.made(name, changed=more != 0, again=again)
        return attributes


async def admitted(*mutators: Adding) -> tuple[int, Sequence[Sequence[str]]]:
    """Return the size after admission, and what was called."""
    found = await Mutators(*mutators).admit(write())
    assert found is not None
    return found["spec"]["size"], [one.called for one in mutators]


async def test_nothing_is_called_again_if_nothing_changed() -> None:
    new = thing()
    calm = Adding(("a", 0, True))
    assert await Mutators(calm, Adding()).admit(write(new=new)) == new
    assert calm.called == ["a0"]


async def test_what_was_called_before_a_change_is_called_again() -> None:
    assert await admitted(Adding(("a", 0, True), ("b", 1, False), ("c", 1, True))) == (3, [["a0", "b0", "c0", "a1"]])


async def test_a_later_mutator_causes_calls_of_an_earlier_one() -> None:
    assert await admitted(Adding(("a", 0, True)), Adding(("w", 5, False))) == (6, [["a0", "a1"], ["w0"]])


async def test_an_earlier_mutator_that_is_called_again_causes_calls_of_a_later_one() -> None:
    assert await admitted(Adding(("a", 1, True)), Adding(("w", 1, True))) == (5, [["a0", "a1"], ["w0", "w1"]])


async def test_there_is_no_third_round() -> None:
    assert await admitted(Adding(("a", 1, True), ("b", 1, True))) == (5, [["a0", "b0", "a1", "b1"]])


async def test_what_no_mutator_may_change_is_restored() -> None:
    class Renaming:
        async def mutate(self, attributes: Attributes, calls: Calls) -> Attributes:
            """See Mutator."""
            calls.changed()
            new: dict[str, Any] = {**thing(size=7), "status": {"by": "policy"}}
            return attributes._replace(new={**new, "metadata": {**new["metadata"], "uid": "other", "labels": {"a": "b"}}})

    found = await Mutators(Renaming()).admit(write())
    assert found is not None
    assert found == {**thing(labels={"a": "b"}, size=7)}
