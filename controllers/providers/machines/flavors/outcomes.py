"""Define the results that all providers of created machines report."""

from __future__ import annotations

from controllers.providers.base import Applied, Outcome, ProviderError, Source

BOUND = Outcome(True, "Bound", "the machine is this Workload's")
REPLACING = Outcome(False, "Replacing", "what was on the machine is being removed first")
NOT_OFFERED = "its owner does not offer this machine any more: delete this Workload and create a new one"


def not_ours(reason: str, message: str) -> Applied:
    """Return the result for a machine that is gone or belongs to another Workload.

    A machine of another Workload was created for that one, so nothing of this Workload was ever on
    it."""
    nothing = Outcome(False, reason, "nothing is done with a machine that is not this Workload's")
    return Applied(Outcome(False, reason, message), nothing, rejected_cleanly=reason == "HostTaken")


def class_moved(source: Source, now: str, *, noun: str) -> ProviderError:
    """Return the problem that the machine is not in the place that the class's parameters name now.

    `noun`: what the source calls such a place."""
    text = f"the machine {source.name} is in {noun} {source.namespace}, and the class's parameters say {now} now"
    return ProviderError("ClassMoved", f"{text}: set them back until it is released")
