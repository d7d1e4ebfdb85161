"""Cover UUIDs."""

from __future__ import annotations

import uuid

from apiserver.apis.uid import new_uid


def test_uids_are_random_uuids_and_all_different() -> None:
    made = [new_uid() for _ in range(1000)]
    assert len(set(made)) == len(made)
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
