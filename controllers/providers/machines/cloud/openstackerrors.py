"""Explain the errors of OpenStack.

The HTTP status decides and, where it is not specific enough, the text of Nova."""

from __future__ import annotations

from libcloud.common.types import InvalidCredsError

from controllers.providers.base import ProviderError
from controllers.providers.machines.cloud import sourceerrors
from controllers.providers.machines.refusals import Refusal

KEYS = "applicationCredentialId and applicationCredentialSecret; or username, password and project"


class NoSuchFlavor(Exception):
    """Reports that the cloud has no flavor of this name or id."""


def explain(error: Exception) -> ProviderError:
    """Return why OpenStack cannot be used, for the class's owner."""
    said, status = sourceerrors.said_by(error), sourceerrors.status_of(error)
    if isinstance(error, InvalidCredsError) or status == 401:
        text = f"the cloud refuses the credentials, which may have expired: put valid ones into the class's secret (keys {KEYS})"
        return ProviderError("Unauthorized", f"{text} ({said})")
    if status == 403:
        return ProviderError("Forbidden", f"the credentials may not do this: give them the role member in the project ({said})")
    if status == 404:
        return ProviderError("Failing", f"the cloud does not find it; it is tried again: if it lasts, check endpoint and region ({said})")
    if status == 409:
        return ProviderError("Busy", f"the cloud is changing the machine, or the machine is locked; it is tried again ({said})")
    if status == 413:
        return ProviderError("Throttled", f"the cloud asks for fewer requests; it is tried again, more slowly: raise pollSeconds ({said})")
    return sourceerrors.general(error)


def refusal(error: Exception) -> Refusal | None:
    """Return why Nova refuses to create a machine; None for other errors."""
    said, status = sourceerrors.said_by(error), sourceerrors.status_of(error)
    if isinstance(error, NoSuchFlavor):
        return sourceerrors.machine_refused(said)
    if status in {403, 413} and "quota" in said.lower():
        return sourceerrors.quota_exceeded(said)
    if status == 400 and "image" in said.lower() and ("find" in said or "not active" in said):
        return sourceerrors.image_not_found(said)
    return sourceerrors.machine_refused(said) if sourceerrors.refused_for_good(error) and status not in {401, 403, 404, 413} else None


def busy(error: Exception) -> bool:
    """Return whether another operation on the server is in progress."""
    return sourceerrors.status_of(error) == 409
