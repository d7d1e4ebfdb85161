"""Read what documentation lets its readers type, and type it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Return what follows the prompt in a page's console blocks.

    "> " begins the further lines of a command; all other lines are output that the reader sees."""
    return [line[2:] for block in BLOCK.findall(page) for line in block.splitlines() if line.startswith(("$ ", "> "))]


def follow(script: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> None:
    """Run the commands in a folder, in one shell. Each has to succeed."""
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout[-4000:]
