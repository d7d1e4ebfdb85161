"""Explain the errors that all clouds have in common, and what to do."""

from __future__ import annotations

import requests
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError, LibcloudError

from controllers.providers.base import ProviderError
from controllers.providers.machines import refusals
from controllers.providers.machines.refusals import Refusal, refusal

MOST = 500
"""The most characters of a cloud's message that are kept, because the error page of a proxy may be
long."""


def general(error: Exception) -> ProviderError:
    """Return the problem behind an error that does not depend on the kind of cloud, for the class's
    owner."""
    said = said_by(error)
    if status_of(error) == 429:
        return ProviderError("Throttled", f"the cloud asks for fewer requests; it is tried again, more slowly: raise pollSeconds ({said})")
    if isinstance(error, requests.RequestException | OSError):
        return ProviderError("Unreachable", f"the cloud does not answer; it is tried again: check network, region and endpoint ({said})")
    return ProviderError("Failing", f"the cloud answers with errors; it is tried again ({said})")


def quota_exceeded(said: str) -> Refusal:
    """Report that the account's limit is reached."""
    return refusals.quota_exceeded(f"ask the cloud for a higher quota, or lower capacity ({said})")


def no_capacity(said: str) -> Refusal:
    """Report that the cloud itself is full."""
    tenant = "the cloud has no capacity for a machine of this kind now: it is created as soon as there is"
    return refusal("NoCapacity", tenant, f"wait, or offer another instance type or network ({said})")


def image_not_found(said: str) -> Refusal:
    """Report that there is no such image."""
    tenant = "the cloud does not have the image: correct spec.image.url, or ask the class's owner"
    return refusal("ImageNotFound", tenant, f"correct the class's parameters.images ({said})")


def machine_refused(said: str) -> Refusal:
    """Report that something in the class is wrong."""
    return refusals.machine_refused(f"correct the flavor or the class's parameters ({said})")


def refused_for_good(error: Exception) -> bool:
    """Return whether the request itself is wrong, so that a retry is useless."""
    return isinstance(error, BaseHTTPError) and 400 <= error.code < 500 and error.code not in {408, 429}


def status_of(error: Exception) -> int:
    """Return the HTTP status; 0 without one."""
    return int(error.code) if isinstance(error, BaseHTTPError) else 0


def said_by(error: Exception) -> str:
    """Return the text of the error without the request, because a URL may contain a signature."""
    return _text(error)[:MOST]


def _text(error: Exception) -> str:
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
