"""Looks for the owner's canary in bytes, plain or encoded."""

from __future__ import annotations

import base64
import gzip

from hack.realcluster.hosts import CANARY


def forms(secret: str) -> dict[str, bytes]:
    """How `secret` looks in a text, in base64 at each of the three alignments, in hexadecimal, and
    in JSON within JSON alike."""
    plain = secret.encode()
    found = {"plain": plain, "reversed": plain[::-1], "hex": plain.hex().encode()}
    for shift in range(3):
        # Only the characters that the secret alone decides: the first and last groups mix with its
        # neighbours.
        encoded = base64.b64encode(b"\0" * shift + plain)
        start = 4 if shift else 0
        end = len(encoded) - 4 if (shift + len(plain)) % 3 else len(encoded)
        found[f"base64 shifted by {shift}"] = encoded[start:end]
    return found


FORMS = forms(CANARY)


def sightings(body: bytes) -> list[str]:
    """The forms in which the canary is in `body`; gzip is looked into."""
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return [name for name, form in FORMS.items() if form.lower() in text.lower()]
