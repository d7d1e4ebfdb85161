"""Run a demonstration on clusters of its own."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.integration import running
from tests.integration.running import Running


def run(arguments: Sequence[str] | None, tell: Callable[[Running], None], *options: str, name: str, description: str | None) -> int:
    """Bring clusters up with these options of hack/cluster, run `tell`, and take everything down.

    Return the exit code."""
    parser = argparse.ArgumentParser(prog=f"hack/demo-{name}", description=description)
    parser.add_argument("--dir", type=Path, help="a new folder for the clusters; it is kept")
    given = parser.parse_args(arguments)
    scratch = None if given.dir else tempfile.mkdtemp(prefix=f"demo-{name}-")
    folder = given.dir or Path(str(scratch)) / "clusters"
    try:
        tell(running.start(folder, *options, "--bmo-speed", "0.02", "--fsync", "off"))
    except (AssertionError, RuntimeError) as error:
        print(f"\nfailed: {error}", file=sys.stderr)
        return 1
    finally:
        running.stop(folder)
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return 0
