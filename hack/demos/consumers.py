"""Control machines of the CAPM3-like consumer step by step: each waits after a step for the next
command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hack.realcluster.manifests import ROOT

Step = dict[str, Any]


class Machine:
    """One machine's scenario in a process of its own, which ends by itself after its total time."""

    def __init__(self, program: Path, kubeconfig: Path, namespace: str, name: str, selector: str, scenario: str = "machine") -> None:
        self.name = name
        argv = [str(program), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", f"--scenario={scenario}", f"--machine={name}"]
        self._process = subprocess.Popen(
            [*argv, f"--selector={selector}", "--step-by-step"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, wanted: str) -> list[Step]:
        """Run the scenario to the end of this step. Return the steps that it took.

        Raises AssertionError with the error output if it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        steps: list[Step] = []
        while not steps or steps[-1]["step"] != wanted:
            if steps:
                self.go_on()
            line = self._process.stdout.readline()
            if not line:
                assert self._process.stderr is not None
                raise AssertionError(f"{self.name} did not get to {wanted!r}: {self._process.stderr.read().strip()}")
            steps.append(json.loads(line))
        return steps

    def go_on(self) -> None:
        """Let it take the next step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> int:
        """End the process, if it has not ended by itself. Return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()  # the process waits for no further commands
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            code = self._process.wait(10)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return code


class Machines:
    """Several machines at once. `selectors`: the host selector of each, by its name."""

    def __init__(self, kubeconfig: Path, namespace: str, selectors: Mapping[str, str]) -> None:
        build = ROOT / "tests" / "consumer" / "build"
        program = ROOT / subprocess.run([build], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self._machines = [Machine(program, kubeconfig, namespace, name, selector) for name, selector in selectors.items()]
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for machine in self._machines:
            machine.end()

    def until(self, wanted: str) -> dict[str, list[Step]]:
        """Run all of them to the end of this step. Return the steps that each took, by its name."""
        if self._started:
            for machine in self._machines:
                machine.go_on()
        self._started = True
        with ThreadPoolExecutor(len(self._machines)) as pool:
            ran = pool.map(lambda machine: machine.until(wanted), self._machines)
            return {machine.name: steps for machine, steps in zip(self._machines, ran, strict=True)}
