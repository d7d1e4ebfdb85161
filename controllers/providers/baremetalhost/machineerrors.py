"""Explain a real host's error: to its tenant with a fixed sentence, by the type of the error."""

from __future__ import annotations

from apiserver.apis.hostconditions import failed_attempts
from apiserver.apis.metal3 import EMPTYING_STATES
from apiserver.client.objects import Object

_OWNER = "the hardware's owner has to look at it: "
ERRORS = {
    "registration error": f"{_OWNER}it cannot be managed at the moment",
    "provisioned registration error": f"{_OWNER}it cannot be managed at the moment; what runs on it keeps running",
    "inspection error": f"{_OWNER}its hardware cannot be inspected",
    "preparation error": f"{_OWNER}it cannot be prepared for use",
    "detach error": f"{_OWNER}it cannot be detached",
    "servicing error": f"{_OWNER}it cannot be serviced",
    "power management error": f"{_OWNER}its power cannot be controlled",
    "provisioning error": "what is to run cannot be installed: check that the image can be downloaded and that its checksum is "
    "right, or ask the hardware's owner",
}
"""The sentences that tenants read, by type of error.

The source's own message contains addresses, names and responses of the owner's network."""
EMPTYING_FAILED = f"{_OWNER}it cannot be emptied"
UNKNOWN_ERROR = f"{_OWNER}it reports an error"


def error_message(bmh: Object) -> str:
    """Return the sentence for the type of the host's error; empty without an error."""
    status = bmh.get("status") or {}
    if not status.get("errorMessage"):
        return ""
    kind, state = status.get("errorType") or "", (status.get("provisioning") or {}).get("state")
    if kind == "provisioning error" and state in EMPTYING_STATES:
        return EMPTYING_FAILED
    sentence, failed = ERRORS.get(kind, UNKNOWN_ERROR), failed_attempts(status) if kind == "provisioning error" else ""
    return f"{sentence}; {failed}" if failed else sentence


def in_error(status: Object) -> bool:
    """Return whether the host reports an error, of any type, with or without a text."""
    return bool(status.get("errorMessage") or status.get("errorType")) or status.get("operationalStatus") == "error"
