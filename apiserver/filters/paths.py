"""Recognize requests that filters treat specially."""

from __future__ import annotations

from apiserver.handlers.request.call import RequestInfo

HEALTH = ("/healthz", "/livez", "/readyz")


def is_health(path: str) -> bool:
    """Return whether a decoded path is a health check, or a single check of it (/readyz/ping)."""
    return path.startswith(HEALTH) and "/" + path[1:].partition("/")[0] in HEALTH


def is_long_running(info: RequestInfo) -> bool:
    """Return whether a request is a watch or another stream. A method WATCH on another path is
    none."""
    return info.is_resource and (info.verb == "watch" or info.streams)
