"""What a cloud's error means, in words that say what to do. Pure."""

from __future__ import annotations

import re

import requests
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError, LibcloudError

from controllers.providers.base import Outcome, ProviderError

__all__ = ["code_of", "explain", "refusal"]

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
    """The cloud's own code, such as InstanceLimitExceeded; empty without one."""
    found = re.search(r"\b([A-Z][A-Za-z0-9]+(?:\.[A-Z][A-Za-z0-9]+)*):", _text(error))
    return found[1] if found else ""


def explain(error: Exception) -> ProviderError:
    """Why the cloud cannot be asked, for the class's owner."""
    code, said = code_of(error), _text(error)
    skewed = code in EXPIRED or "Signature expired" in said or "not yet current" in said or "timestamp" in said.lower()
    if skewed:
        text = "the cloud takes the requests for old ones: set this machine's clock"
        return ProviderError("ClockSkew", f"{text} ({said})")
    if isinstance(error, InvalidCredsError) or code in {"ExpiredToken", "InvalidAccessKeyId"}:
        text = "the cloud refuses the credentials: put valid ones into the class's secret (keys accessKey, secretKey, sessionToken)"
        return ProviderError("Unauthorized", f"{text} ({said})")
    if code in FORBIDDEN:
        return ProviderError("Forbidden", f"the credentials may not do this: allow {RIGHTS} ({said})")
    if code in THROTTLED or getattr(error, "code", 0) == 429:
        return ProviderError("Throttled", f"the cloud asks for fewer requests; it is tried again, more slowly: raise pollSeconds ({said})")
    if isinstance(error, requests.RequestException | OSError):
        return ProviderError("Unreachable", f"the cloud does not answer; it is tried again: check network, region and endpoint ({said})")
    return ProviderError("Failing", f"the cloud answers with errors; it is tried again ({said})")


def refusal(error: Exception) -> tuple[Outcome, tuple[str, str]] | None:
    """Why the cloud will not make a machine, for its tenant and (reason, message) for the owner; None for trouble in general."""
    code, said = code_of(error), _text(error)
    later = "it is made as soon as there is"
    if code in QUOTA:
        tenant = f"there is no room for another machine now: {later}; delete a Workload you do not need"
        return Outcome(False, "QuotaExceeded", tenant), ("QuotaExceeded", f"ask the cloud for a higher quota, or lower capacity ({said})")
    if code in NO_ROOM:
        tenant = f"the cloud has no room for a machine of this kind now: {later}"
        return Outcome(False, "NoCapacity", tenant), ("NoCapacity", f"wait, or offer another instance type or subnet ({said})")
    if code in NO_IMAGE:
        tenant = "the cloud does not have the image: correct spec.image.url, or ask the class's owner"
        return Outcome(False, "ImageNotFound", tenant), ("ImageNotFound", f"correct the class's parameters.images ({said})")
    transient = isinstance(error, InvalidCredsError) or code in THROTTLED | EXPIRED | FORBIDDEN
    if isinstance(error, BaseHTTPError) and 400 <= error.code < 500 and error.code not in {408, 429} and not transient:
        tenant = "the machine is refused as it was asked for: its owner sees why"
        return Outcome(False, "MachineRefused", tenant), ("MachineRefused", f"correct the flavor or the class's parameters ({said})")
    return None


def _text(error: Exception) -> str:
    """What the error says, without what it was asked: a URL holds a signature."""
    if isinstance(error, InvalidCredsError):
        return str(error.value)
    if isinstance(error, BaseHTTPError):
        return str(error.message) or f"HTTP {error.code}"
    if isinstance(error, requests.Timeout | TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.RequestException):
        return type(error).__name__
    if isinstance(error, LibcloudError):
        return str(error.value)
    return f"{type(error).__name__}: {error}"
