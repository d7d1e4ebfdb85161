"""Fuzz what tenants' bytes are read by, guided by coverage: `python -m tests.hostile.fuzz SECONDS
[TARGET...]`, each for so long.

Starts from tests/hostile/corpus; what it finds beyond that is kept in .cache/fuzz, with the input
of a failure. That belongs into the corpus when the fault is mended: the corpus is also run without
atheris, with the other tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["apiserver", "controllers"]):
    from tests.hostile.targets import TARGETS, run

__all__: list[str] = []

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(".cache/fuzz")
SLACK = 8.0
"""How much slower code is that atheris watches."""
LONGEST = 8192
"""Bytes of an input. Larger ones are the other tests' business, which double them up to the
limit."""


def fuzz(name: str, seconds: int) -> None:
    """Does not return: the process ends, with another status than 0 when something was found."""
    target, found = TARGETS[name], FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    bounds = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=30", "-rss_limit_mb=2048", "-seed=1", "-verbosity=0"]
    folders = [str(found), str(CORPUS / name)]
    atheris.Setup([sys.argv[0], *bounds, f"-artifact_prefix={found}/", *folders], lambda data: run(target, data, SLACK))
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """One process for each target, as a fuzzer ends with its process."""
    seconds, names = int(arguments[0]), arguments[1:] or list(TARGETS)
    if len(names) == 1:
        fuzz(names[0], seconds)
    for name in names:
        print(f"fuzzing {name} for {seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.hostile.fuzz", str(seconds), name]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if ended.returncode:
            print(ended.stdout, f"{name}: a fault was found; its input is in {FOUND / name}", sep="\n", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
