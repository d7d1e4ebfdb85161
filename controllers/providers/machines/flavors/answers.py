"""What all providers of machines that are made say of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.providers.base import Applied, Outcome, ProviderError

if TYPE_CHECKING:
    from controllers.providers.base import Source

__all__ = ["BOUND", "NOT_OFFERED", "REPLACING", "moved", "not_ours"]

BOUND = Outcome(True, "Bound", "the machine is this Workload's")
REPLACING = Outcome(False, "Replacing", "what was on the machine is being removed first")
NOT_OFFERED = "its owner offers this machine no more: delete this Workload and make a new one"


def not_ours(reason: str, message: str) -> Applied:
    """The machine is gone, or somebody else's: made for them, so that nothing of this Workload was ever on it."""
    nothing = Outcome(False, reason, "nothing is done with a machine that is not this Workload's")
    return Applied(Outcome(False, reason, message), nothing, untouched=reason == "HostTaken")


def moved(source: Source, now: str, *, noun: str) -> ProviderError:
    """The class's parameters point elsewhere than where the machine is. `noun`: what the source calls such a place."""
    told = f"the machine {source.name} is in {noun} {source.namespace}, and the class's parameters say {now} now"
    return ProviderError("ClassMoved", f"{told}: set them back until it is released")
