"""Check that what was written to a machine is remembered until anything changes."""

from __future__ import annotations

from dataclasses import replace

from controllers.providers.base import Outcome, Source
from controllers.providers.machines.flavors import Told
from controllers.providers.testing import claim

SAID = Outcome(True, "Synchronized", "all")


async def test_what_was_told_is_recalled_until_anything_changes() -> None:
    notes, request = Told(), claim("w", Source("p", "small-0", "uid"))
    assert notes.recall(request) is None
    notes.note(request, SAID)
    assert notes.recall(request) == SAID
    assert notes.recall(replace(request, version="another")) is None
    assert notes.recall(claim("other", request.source)) is None
    empty = claim("w", request.source, image=None)
    notes.note(empty, SAID)
    assert notes.recall(empty) is None, "one that is to be empty is always looked at"
    notes.note(request, SAID)
    notes.forget(request.workload_uid)
    assert notes.recall(request) is None
    notes = Told(trust=-1.0)
    notes.note(request, SAID)
    assert notes.recall(request) is None, "it is time to look"
