"""Convert Kubernetes quantities to numbers and back."""

from __future__ import annotations

import re

from apiserver.apis.bounded import bounded_lru_cache

KI, MI, GI, TI = 2**10, 2**20, 2**30, 2**40

_SUFFIXES = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    "Ki": KI,
    "Mi": MI,
    "Gi": GI,
    "Ti": TI,
    "Pi": 2**50,
    "Ei": 2**60,
}
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[mkMGTPE]))?")


@bounded_lru_cache(4096, 64)
def parse_quantity(value: int | str) -> float:
    """Return the number of a quantity: 64Gi is 68719476736. Raises ValueError for other text."""
    match = _FORM.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a quantity")
    if match[2]:
        return float(match[1] + match[2])
    return float(match[1]) * _SUFFIXES[match[3] or ""]


def human(bytes_: int) -> str:
    """Return bytes as a short exact quantity, such as 64Gi or 960G.

    Other sizes are rounded down to Mi."""
    for suffix, size in (("Ti", TI), ("T", 10**12), ("Gi", GI), ("G", 10**9), ("Mi", MI)):
        if bytes_ >= size and bytes_ % size == 0:
            return f"{bytes_ // size}{suffix}"
    return f"{bytes_ // MI}Mi"
