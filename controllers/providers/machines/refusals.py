"""Says why a source will not create a machine: to its tenant, and with what the source said to the class's owner. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.providers.base import Outcome

__all__ = ["Refusal", "machine_refused", "quota_exceeded", "refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Says why the source will not create a machine. `trouble`: (reason, message) for the owner."""

    tenant: Outcome
    trouble: tuple[str, str]


def refusal(reason: str, tenant: str, owner: str) -> Refusal:
    """Return a refusal with one reason for both."""
    return Refusal(Outcome(False, reason, tenant), (reason, owner))


def quota_exceeded(owner: str) -> Refusal:
    """Report that the owner's limit at the source is reached."""
    tenant = "there is no room for another machine now: it is made as soon as there is; delete a Workload you do not need"
    return refusal("QuotaExceeded", tenant, owner)


def machine_refused(owner: str) -> Refusal:
    """Report that something in the class is wrong."""
    return refusal("MachineRefused", "the machine is refused as it was asked for: its owner sees why", owner)
