"""Check that problems are reported once, and that hosts are reconciled again when planned."""

from __future__ import annotations

import asyncio

from controllers.providers.machines.flavors import SlotRequeuer
from controllers.providers.testing import eventually

QUOTA, OTHER = ("QuotaExceeded", "raise it"), ("NoCapacity", "wait")


async def test_trouble_is_reported_once_and_looked_at_again() -> None:
    seen: list[str] = []
    requeuer = SlotRequeuer(seen.append)
    requeuer.failed("a", QUOTA, retry_after=3600)
    requeuer.failed("a", QUOTA, retry_after=3600)
    assert (seen, requeuer.problems) == (["a"], {"a": QUOTA})
    requeuer.failed("a", OTHER, retry_after=0.01)
    assert seen == ["a", "a"], "another reason"
    await eventually(lambda: len(seen) == 3)
    requeuer.recovered("a")
    requeuer.recovered("a")
    assert (len(seen), requeuer.problems) == (4, {})


async def test_the_last_plan_counts_and_none_after_the_end() -> None:
    seen: list[str] = []
    requeuer = SlotRequeuer(seen.append)
    requeuer.requeue_after("a", 0.0)
    requeuer.requeue_after("a", 3600)
    requeuer.requeue_after("b", 0.0)
    await eventually(lambda: seen == ["b"])
    requeuer.requeue_after("c", 0.0)
    requeuer.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert seen == ["b"]
