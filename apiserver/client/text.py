"""Make text from users and other servers harmless in logs and on terminals."""

from __future__ import annotations

MOST = 2048


def printable(text: str, most: int = MOST) -> str:
    """Return the text on one line, without characters that control a terminal, and cut to `most`
    characters.

    Nothing in it can then look like another line."""
    kept = text[:most]
    clean = kept if kept.isprintable() else "".join(char if char.isprintable() else " " for char in kept)
    return clean if len(text) <= most else f"{clean}…"
