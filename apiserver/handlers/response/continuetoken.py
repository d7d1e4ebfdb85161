"""Encode continue tokens: where a list in pages continues, and as of which revision.

Clients treat them as opaque."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TypeGuard

import orjson

from apiserver.apis.status import bad_request

LATEST = -1
"""The revision of a token that continues with the latest state."""
VERSION = "meta.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Token:
    """The state of a list in pages.

    revision: the revision of the snapshot, or LATEST.

    start: the first key to return, below the kind's prefix.

    remaining: the number of objects from there on, -1 if unknown."""

    revision: int
    start: str
    remaining: int = -1

    def encode(self) -> str:
        """Return the token as URL-safe text."""
        value = {"v": VERSION, "rv": self.revision, "start": self.start, "left": self.remaining}
        return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Token:
        """Return the token. Raises ApiError (400) for text that does not come from `encode`."""
        try:
            value = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            raise _bad() from None
        if not isinstance(value, dict) or value.get("v") != VERSION:
            raise _bad()
        revision, start, remaining = value.get("rv"), value.get("start"), value.get("left", -1)
        if not _is_number(revision) or not _is_number(remaining) or revision == 0 or not isinstance(start, str) or not start:
            raise _bad()
        return cls(revision, start, remaining)


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value < 2**63


def _bad() -> Exception:
    return bad_request("continue key is not valid: use the one of the page before, or start the list again without one")
