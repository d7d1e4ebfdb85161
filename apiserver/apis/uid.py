"""Generate random UUIDs for objects and requests."""

from __future__ import annotations

import random


def new_uid() -> str:
    """Return a random UUID (RFC 9562, 5.4).

    It uses random, not os.urandom: a UID need not be unpredictable, and the system call would
    release the GIL."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"
