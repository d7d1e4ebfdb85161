"""Read what documentation lets its readers type."""

from __future__ import annotations

import re

BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Return what follows the prompt in a page's console blocks.

    "> " begins the further lines of a command; all other lines are output that the reader sees."""
    return [line[2:] for block in BLOCK.findall(page) for line in block.splitlines() if line.startswith(("$ ", "> "))]
