"""Check that troubles are reported once, and that hosts are visited again when planned."""

from __future__ import annotations

import asyncio

from controllers.providers.machines.flavors import Attention
from controllers.providers.testing import eventually

QUOTA, OTHER = ("QuotaExceeded", "raise it"), ("NoCapacity", "wait")


async def test_trouble_is_told_once_and_looked_at_again() -> None:
    seen: list[str] = []
    attention = Attention(seen.append)
    attention.trouble("a", QUOTA, again=3600)
    attention.trouble("a", QUOTA, again=3600)
    assert (seen, attention.troubles) == (["a"], {"a": QUOTA})
    attention.trouble("a", OTHER, again=0.01)
    assert seen == ["a", "a"], "another reason"
    await eventually(lambda: len(seen) == 3)
    attention.fine("a")
    attention.fine("a")
    assert (len(seen), attention.troubles) == (4, {})


async def test_the_last_plan_counts_and_none_after_the_end() -> None:
    seen: list[str] = []
    attention = Attention(seen.append)
    attention.later("a", 0.0)
    attention.later("a", 3600)
    attention.later("b", 0.0)
    await eventually(lambda: seen == ["b"])
    attention.later("c", 0.0)
    attention.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert seen == ["b"]
