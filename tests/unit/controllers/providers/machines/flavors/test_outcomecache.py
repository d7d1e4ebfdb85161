"""Check that the outcome of a request is cached until anything changes."""

from __future__ import annotations

from dataclasses import replace

from controllers.providers.base import Outcome, Source
from controllers.providers.machines.flavors import OutcomeCache
from controllers.providers.testing import claim

DONE = Outcome(True, "Synchronized", "all")


async def test_an_outcome_is_cached_until_anything_changes() -> None:
    cache, request = OutcomeCache(), claim("w", Source("p", "small-0", "uid"))
    assert cache.get(request) is None
    cache.put(request, DONE)
    assert cache.get(request) == DONE
    assert cache.get(replace(request, version="another")) is None
    assert cache.get(claim("other", request.source)) is None
    empty = claim("w", request.source, image=None)
    cache.put(empty, DONE)
    assert cache.get(empty) is None, "one that is to be empty is always looked at"
    cache.put(request, DONE)
    cache.forget(request.workload_uid)
    assert cache.get(request) is None
    cache = OutcomeCache(ttl=-1.0)
    cache.put(request, DONE)
    assert cache.get(request) is None, "it is time to look"
