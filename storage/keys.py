"""Check keys before a backend writes them, and compute the range of a prefix."""

from __future__ import annotations

from collections.abc import Sequence

from storage.base import Operation

MAX_OPERATIONS = 10_000
"""The largest number of operations in one commit."""

_LAST = 0x10FFFF


def check_operations(operations: Sequence[Operation]) -> None:
    """Raise ValueError for operations that no backend can apply.

    These are an empty key, a key with NUL or without a UTF-8 form, the same key twice, and more
    than MAX_OPERATIONS operations."""
    if len(operations) > MAX_OPERATIONS:
        raise ValueError(f"{len(operations)} operations in one commit; at most {MAX_OPERATIONS} are possible: use several commits")
    seen: set[str] = set()
    for operation in operations:
        key = operation.key
        if not key or "\0" in key:
            raise ValueError(f"{key!r} is not a key: it must be non-empty text without NUL")
        key.encode()  # raises UnicodeEncodeError, a ValueError, for lone surrogates
        if key in seen:
            raise ValueError(f"two operations of one commit name {key!r}: merge them into one")
        seen.add(key)


def prefix_end(prefix: str) -> str | None:
    """Return the first text after everything that begins with `prefix`, or None if there is none.

    Text compares by code point exactly as its UTF-8 bytes do, so the end of the range can be
    text."""
    while prefix:
        point = ord(prefix[-1])
        if point < _LAST:
            # Surrogates have no UTF-8 form: the code point that follows U+D7FF in valid text is
            # U+E000.
            return prefix[:-1] + chr(0xE000 if point == 0xD7FF else point + 1)
        prefix = prefix[:-1]
    return None


def successor(key: str) -> str:
    """Return the first text after `key`: the start of the next page of a list."""
    return key + "\0"
