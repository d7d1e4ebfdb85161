"""Format ages like kubectl (k8s.io/apimachinery/pkg/util/duration HumanDuration)."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400
FOREVER = float("inf")
UNITS = ((10 * MINUTE, 1), (8 * HOUR, MINUTE), (2 * DAY, HOUR), (8 * DAY, HOUR), (8 * YEAR, DAY))
"""Pairs of a limit and the unit, in seconds, in which durations below the limit change."""


def aging(timestamp: str, now: float) -> tuple[str, float]:
    """Return the age, and the time until which it stays the same (seconds since the epoch)."""
    if not timestamp:
        return "<unknown>", FOREVER
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>", FOREVER
    born = (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    return human_duration(now - born), born + _next(now - born)


def _next(duration: float) -> float:
    """Return the next duration at which the text may change."""
    if duration < 0:
        return 0.0 if duration > -1 else duration // 1 + 1
    unit = next((unit for limit, unit in UNITS if duration < limit), YEAR)
    return (duration // unit + 1) * unit


def human_duration(duration: float) -> str:
    """Return a duration in at most two units, such as 45s, 2m30s, 5h12m, 3d4h or 2y40d."""
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
