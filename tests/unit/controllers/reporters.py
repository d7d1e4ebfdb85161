"""Record what a command shows of its progress."""

from __future__ import annotations


class Lines(list[str]):
    """The lines of a command. `steps` are the pairs of done and all objects."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []

    def say(self, line: str) -> None:
        self.append(line)

    def advance(self, done: int, total: int) -> None:
        self.steps.append((done, total))
