"""Random UUIDs: of objects, and of requests."""

from __future__ import annotations

import random

__all__ = ["new_uid"]


def new_uid() -> str:
    """A UUID (RFC 9562, 5.4). It identifies and is no secret, so it is not asked of the operating system, for which a thread gives up the
    interpreter and has to wait for it again."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"
