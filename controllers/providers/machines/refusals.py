"""Explain why a source refuses to create a machine: to its tenant, and to the class's owner.

The owner also reads the source's own message."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.providers.base import Outcome


@dataclass(frozen=True, slots=True)
class Refusal:
    """Says why the source refuses to create a machine. `problem`: (reason, message) for the
    owner."""

    tenant: Outcome
    problem: tuple[str, str]


def refusal(reason: str, tenant: str, owner: str) -> Refusal:
    """Return a refusal with the same reason for both."""
    return Refusal(Outcome(False, reason, tenant), (reason, owner))


def quota_exceeded(owner: str) -> Refusal:
    """Report that the owner's limit at the source is reached."""
    tenant = "there is no capacity for another machine now: it is created as soon as there is; or ask the class's owner for more"
    return refusal("QuotaExceeded", tenant, owner)


def machine_refused(owner: str) -> Refusal:
    """Report that something in the class is wrong."""
    return refusal("MachineRefused", "the source refuses to create this machine: its owner sees why", owner)
