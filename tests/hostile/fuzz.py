"""Fuzz the readers of tenants' bytes, guided by coverage: `python -m tests.hostile.fuzz SECONDS
[TARGET...]`.

Each target runs for this long. It starts from tests/hostile/corpus. New inputs are kept in
.cache/fuzz, including the input of a failure, which belongs into the corpus when the fault is
fixed. The corpus is also run without atheris, with the other tests.
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
"""The factor by which code is slower under atheris."""
LONGEST = 8192
"""The bytes of an input. Other tests cover larger inputs, which double up to the limit."""


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target. It does not return: the process ends, with a nonzero status if it found
    something."""
    target, found = TARGETS[name], FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    bounds = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=30", "-rss_limit_mb=2048", "-seed=1", "-verbosity=0"]
    folders = [str(found), str(CORPUS / name)]
    atheris.Setup([sys.argv[0], *bounds, f"-artifact_prefix={found}/", *folders], lambda data: run(target, data, SLACK))
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Run one process for each target, because a fuzzer ends its process."""
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
