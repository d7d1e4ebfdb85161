"""Let controllers die at every single call they make, in every flow. The controllers that start
after them finish the flow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache, partial

import pytest

from tests.crashes.checks import assert_sound
from tests.crashes.flows import FLOWS, Flow
from tests.crashes.stack import Snapshot, running
from tests.crashes.virtual import run

HOSTS = 3


@cache
def at_rest() -> Snapshot:
    """Prepare three hosts that are registered, inspected and offered to two tenants."""

    async def main() -> Snapshot:
        async with running() as stack:
            await stack.seed(HOSTS)
            stack.control()
            await stack.until(
                lambda: [host["spec"].get("offers") for host in stack.management.all("Host")] == [["tenant-a", "tenant-b"]] * HOSTS
            )
            await stack.settled()
            return stack.snapshot()

    return run(main, seed=2)


def prepared(flow: Flow) -> Snapshot:
    """Bring the stack to the point where the flow begins.

    Its chance is another one than that of the flow: objects of both would share uids."""
    rest = at_rest()

    async def main() -> Snapshot:
        async with running(rest) as stack:
            stack.control()
            await flow.prepare(stack)
            await stack.settled()
            return stack.snapshot()

    return run(main, seed=1)


async def live(flow: Flow, snapshot: Snapshot, die_at: int, answered: bool) -> list[str]:
    """Run the flow with controllers that die at that call, or never if it is 0. Return their
    calls."""
    async with running(snapshot) as stack:
        first = stack.control()
        await stack.settled()
        first.count()
        first.die_at, first.answered = die_at, answered
        acting = asyncio.create_task(flow.act(stack))
        if die_at:
            # The number of status writes depends on which of two changes is seen first. The last
            # calls may therefore be missing this time.
            with suppress(TimeoutError):
                await asyncio.wait_for(first.dead.wait(), 300)
            await first.kill()
            await asyncio.sleep(1.0)
            stack.control()
        await asyncio.wait_for(acting, 600)
        await stack.until(lambda: flow.done(stack))
        await stack.settled()
        assert flow.done(stack), "it did not stay so"
        assert_sound(stack)
        assert tuple(url for _, url in stack.guard.installed) == flow.installs, stack.guard.installed
        return list(first.calls)


def points(calls: list[str]) -> list[tuple[int, bool]]:
    """Return the points to die at as (call, answered). Every call has one before it, and calls that
    change something have one after it. After any other call everything is as before it.

    Events are written beside all else and may be lost, so they are no points."""
    found = []
    for number, call in enumerate(calls, 1):
        if call.endswith("/events"):
            continue
        found.append((number, False))
        if not call.startswith("GET "):
            found.append((number, True))
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_killed_at_every_call(flow: Flow) -> None:
    snapshot = prepared(flow)
    calls = run(partial(live, flow, snapshot, 0, False))
    problems = []
    for number, answered in points(calls):
        try:
            run(partial(live, flow, snapshot, number, answered))
        except Exception as error:
            problems.append(
                f"killed {'after' if answered else 'before'} call {number} ({calls[number - 1]}): {type(error).__name__}: {error}"
            )
    assert not problems, "\n".join(problems)
