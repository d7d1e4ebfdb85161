"""Find the metrics that an expression of PromQL reads."""

from __future__ import annotations

import re

# Everything that may hold words which are no metrics, in this order.
NOISE = (
    r'"(?:[^"\\]|\\.)*"',
    r"'(?:[^'\\]|\\.)*'",
    r"\{[^}]*\}",
    r"\[[^\]]*\]",
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
    r"\b(?:by|without|on|ignoring|group_left|group_right|and|or|unless|bool|offset)\b",
)
WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b(?!\s*\()")


def metrics_of(expression: str) -> set[str]:
    """Return the names. Functions, labels and keywords are none."""
    for noise in NOISE:
        expression = re.sub(noise, " ", expression)
    return {word for word in WORD.findall(expression) if not re.fullmatch(r"[0-9.]+[smhdwy]?|inf|nan", word, re.IGNORECASE)}
