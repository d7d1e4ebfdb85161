"""Perform one run: fill both servers, then measure every row on all three targets in turn."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING

from tests.bench.clusters import prepare, targets
from tests.bench.report import Figure
from tests.bench.watch import deliveries
from tests.bench.work import ROWS, fill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.target import Target
    from tests.bench.work import Row
    from tests.integration.running import Running

WARM_UP = 3
WATCH_GOALS = {10: (1.5, 1.0), 50: (2.0, 1.0), 100: (3.0, 1.0)}
"""The events per second, and the required ratios."""


async def measure(
    running: Running,
    folder: Path,
    *,
    objects: int,
    watchers: int,
    seconds: float,
    rates: Sequence[int] = tuple(WATCH_GOALS),
    only: str = "",
) -> list[Figure]:
    """Return the rows whose names contain `only`.

    `rates`: the events per second that `watchers` watches receive for `seconds`."""
    prepare(running)
    async with AsyncExitStack() as stack:
        measured = [await stack.enter_async_context(target) for target in targets(running, folder)]
        for target in measured[:2]:
            say(f"making {objects} objects on {target.name}")
            await fill(target, objects)
        numbers = count()
        figures = [await _row(row, measured, objects, numbers) for row in ROWS if only in row.name]
        for rate in rates:
            name = f"WATCH, {rate} events a second"
            if only in name:
                say(f"measuring {name}")
                found = [await deliveries(one, watchers=watchers, rate=rate, seconds=seconds, objects=objects) for one in measured]
                say("    " + ", ".join(f"at {one.rate:.0f} a second {one.received:.1%}" for one in found))
                lost = [f"{target.name} {one.received:.0%}" for target, one in zip(measured, found, strict=True) if one.received < 1]
                note = f"of what should have been delivered was delivered by {', '.join(lost)}" if lost else ""
                figures.append(Figure(name, found[0].cpu, found[1].cpu, found[2].cpu, WATCH_GOALS[rate], note))
    return figures


async def _row(row: Row, measured: Sequence[Target], objects: int, numbers: count[int]) -> Figure:
    say(f"measuring {row.name}")
    found = []
    for target in measured:
        work = row.work(target, objects)
        first = next(numbers) * row.repeat * 2
        await target.cpu_of(range(first, first + WARM_UP), work)
        found.append(await target.cpu_of(range(first + WARM_UP, first + WARM_UP + row.repeat), work))
    return Figure(row.name, found[0], found[1], found[2], row.goal)


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)
