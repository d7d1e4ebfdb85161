"""How long ago, in the short words of kubectl (k8s.io/apimachinery/pkg/util/duration HumanDuration). Pure."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["age", "human_duration"]

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


def age(timestamp: str, now: float) -> str:
    """The age at `now` (seconds since the epoch) of an RFC 3339 time; "<unknown>" for none, "<invalid>" for nonsense."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return human_duration(now - then.timestamp())


def human_duration(duration: float) -> str:
    """Two units at most, fewer the longer it is: 45s, 2m30s, 5h12m, 3d4h, 2y40d."""
    seconds = int(duration)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 2 * MINUTE:
        return f"{seconds}s"
    if seconds < 10 * MINUTE:
        return _pair(seconds, MINUTE, "m", 1, "s")
    if seconds < 3 * HOUR:
        return f"{seconds // MINUTE}m"
    if seconds < 8 * HOUR:
        return _pair(seconds, HOUR, "h", MINUTE, "m")
    if seconds < 2 * DAY:
        return f"{seconds // HOUR}h"
    if seconds < 8 * DAY:
        return _pair(seconds, DAY, "d", HOUR, "h")
    if seconds < 2 * YEAR:
        return f"{seconds // DAY}d"
    if seconds < 8 * YEAR:
        return _pair(seconds, YEAR, "y", DAY, "d")
    return f"{seconds // YEAR}y"


def _pair(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    first, rest = divmod(seconds, large)
    second = rest // small
    return f"{first}{large_unit}{second}{small_unit}" if second else f"{first}{large_unit}"
