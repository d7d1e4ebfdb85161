"""Search bytes for the owner's canary, plain or encoded."""

from __future__ import annotations

import base64
import gzip

from hack.realcluster.hosts import CANARY


def forms(secret: str) -> dict[str, bytes]:
    """Return the forms of `secret`: text, base64 at each of the three alignments, and hexadecimal.

    JSON within JSON does not change these forms."""
    plain = secret.encode()
    found = {"plain": plain, "reversed": plain[::-1], "hex": plain.hex().encode()}
    for shift in range(3):
        # Keep only the characters that depend on the secret alone: the first and last groups mix
        # with its neighbours.
        encoded = base64.b64encode(b"\0" * shift + plain)
        start = 4 if shift else 0
        end = len(encoded) - 4 if (shift + len(plain)) % 3 else len(encoded)
        found[f"base64 shifted by {shift}"] = encoded[start:end]
    return found


FORMS = forms(CANARY)


def sightings(body: bytes) -> list[str]:
    """Return the forms of the canary in `body`. gzip is decompressed."""
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return [name for name, form in FORMS.items() if form.lower() in text.lower()]
