"""Explain the errors of EC2."""

from __future__ import annotations

import re

from libcloud.common.types import InvalidCredsError

from controllers.providers.base import ProviderError
from controllers.providers.machines.cloud import sourceerrors
from controllers.providers.machines.refusals import Refusal

QUOTA = {"InstanceLimitExceeded", "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "VolumeLimitExceeded", "AddressLimitExceeded"}
NO_ROOM = {"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientFreeAddressesInSubnet", "InsufficientCapacity"}
THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException"}
NO_IMAGE = {"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"}
EXPIRED = {"RequestExpired"}
FORBIDDEN = {"UnauthorizedOperation", "AccessDenied"}

RIGHTS = (
    "ec2:DescribeInstances, DescribeAddresses, RunInstances, CreateTags, DeleteTags, StartInstances, StopInstances, RebootInstances, "
    "TerminateInstances"
)


def code_of(error: Exception) -> str:
    """Return EC2's own code, such as InstanceLimitExceeded; empty without one."""
    found = re.search(r"\b([A-Z][A-Za-z0-9]+(?:\.[A-Z][A-Za-z0-9]+)*):", sourceerrors.said_by(error))
    return found[1] if found else ""


def explain(error: Exception) -> ProviderError:
    """Return why EC2 cannot be used, for the class's owner."""
    code, said = code_of(error), sourceerrors.said_by(error)
    skewed = code in EXPIRED or "Signature expired" in said or "not yet current" in said or "timestamp" in said.lower()
    if skewed:
        text = "the cloud considers the requests expired: set this machine's clock"
        return ProviderError("ClockSkew", f"{text} ({said})")
    if isinstance(error, InvalidCredsError) or code in {"ExpiredToken", "InvalidAccessKeyId"}:
        text = "the cloud refuses the credentials: put valid ones into the class's secret (keys accessKey, secretKey, sessionToken)"
        return ProviderError("Unauthorized", f"{text} ({said})")
    if code in FORBIDDEN:
        return ProviderError("Forbidden", f"the credentials may not do this: allow {RIGHTS} ({said})")
    if code in THROTTLED:
        return ProviderError("Throttled", f"the cloud asks for fewer requests; it is tried again, more slowly: raise pollSeconds ({said})")
    return sourceerrors.general(error)


def refusal(error: Exception) -> Refusal | None:
    """Return why EC2 refuses to create a machine; None for other errors."""
    code, said = code_of(error), sourceerrors.said_by(error)
    if code in QUOTA:
        return sourceerrors.quota_exceeded(said)
    if code in NO_ROOM:
        return sourceerrors.no_capacity(said)
    if code in NO_IMAGE:
        return sourceerrors.image_not_found(said)
    transient = isinstance(error, InvalidCredsError) or code in THROTTLED | EXPIRED | FORBIDDEN
    return sourceerrors.machine_refused(said) if sourceerrors.refused_for_good(error) and not transient else None
