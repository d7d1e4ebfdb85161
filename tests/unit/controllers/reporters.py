"""Record the progress that a command reports."""

from __future__ import annotations


class Lines(list[str]):
    """The lines of a command. `steps`: the reported pairs (number of finished objects, number of
    all)."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []

    def say(self, line: str) -> None:
        self.append(line)

    def advance(self, done: int, total: int) -> None:
        self.steps.append((done, total))
