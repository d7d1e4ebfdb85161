"""Match regular expressions, in RE2's linear time."""

from __future__ import annotations

from typing import Any

from apiserver.apis.bounded import bounded_lru_cache
from apiserver.cel.meter import Meter, traversal
from apiserver.cel.registry import member
from apiserver.cel.values import CelError

LONGEST = 4096
"""The largest number of characters of a regular expression, which may come from an object."""
MEMORY = 2 * 1024 * 1024
"""The largest number of bytes of one compiled expression and its automata."""
VISITS = 100
"""The number of visits of states that cost one unit. They take 2 µs."""


def _cost(text: str, pattern: str, *rest: Any) -> int:
    """Return cel-go's cost, or that of RE2's slowest algorithm if it is higher.

    That algorithm visits each state of the program for each character. A few characters of a
    pattern, such as x{1,900}, may compile to many states."""
    return max(traversal(len(text) + 1) * traversal(len(pattern), 0.25), len(text) * _size(pattern) // VISITS)


def _size(pattern: str) -> int:
    """Return the number of states, or 0 for a pattern that is refused before the text is read."""
    found = _compiled(pattern) if len(pattern) <= LONGEST else ""
    return 0 if isinstance(found, str) else int(found.programsize)


def compiled(pattern: str) -> Any:
    """Return a compiled regular expression. Raises CelError."""
    if len(pattern) > LONGEST:
        raise CelError(f"error parsing regexp: it is longer than {LONGEST} characters")
    found = _compiled(pattern)
    if isinstance(found, str):
        raise CelError(found)
    return found


@bounded_lru_cache(64, LONGEST)
def _compiled(pattern: str) -> Any:
    """Return the expression, or the error, which is cached as well."""
    import re2  # its library is large, and most servers never need it

    options = re2.Options()
    options.log_errors, options.max_mem = False, MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        return f"error parsing regexp: {said.decode(errors='replace') if isinstance(said, bytes) else said}"


@member("matches", "string", "string", cost=_cost)
def _matches(meter: Meter, text: str, pattern: str) -> bool:
    return compiled(pattern).search(text) is not None


@member("find", "string", "string", cost=_cost)
def _find(meter: Meter, text: str, pattern: str) -> str:
    found = compiled(pattern).search(text)
    return found[0] if found is not None else ""


@member("findAll", "string", "string", cost=_cost)
def _find_all(meter: Meter, text: str, pattern: str) -> list[str]:
    return _all(meter, text, pattern, -1)


@member("findAll", "string", "string", "int", cost=_cost)
def _find_some(meter: Meter, text: str, pattern: str, limit: int) -> list[str]:
    return _all(meter, text, pattern, limit)


def _all(meter: Meter, text: str, pattern: str, limit: int) -> list[str]:
    """Return the matches.

    Each match is charged for the remaining text, because RE2 may read all of it for every match."""
    found: list[str] = []
    if limit == 0:
        return found
    size = _size(pattern)
    for one in compiled(pattern).finditer(text):
        left = len(text) - one.start()
        meter.charge(4 + left // 250 + left * size // (20 * VISITS))
        found.append(one[0])
        if len(found) == limit:
            break
    return found
