"""Convert the messages of one etcd watch into the items of a Store's watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.base import Compacted, Event, Progress
from storage.etcd.codec import Keyspace, revision_of
from storage.etcd.errors import Broken, Code, Refused, from_error


class WatchDecoder:
    """Converts the messages of one watch, in their order.

    `complete` is the revision up to which everything was returned, and from which the next
    connection continues. It advances with events and with progress messages only. The header of a
    "created" message or of a batch may be ahead of events that are still to come."""

    def __init__(self, space: Keyspace, after: int) -> None:
        self.complete = after
        self._space = space
        # the events of one revision whose rest comes with the next fragment
        self._held: list[Event] = []

    def created(self, message: Mapping[str, Any]) -> int:
        """Return the member's revision from the first message. Raises the errors of `feed`."""
        result = self._result(message)
        if not result.get("created"):
            raise Broken("etcd began a watch with something else")
        return revision_of(result)

    def feed(self, message: Mapping[str, Any]) -> list[Event | Progress]:
        """Return the items that are complete now.

        Each list ends with Progress unless a fragment cuts the newest revision. Raises Compacted,
        Refused, or Broken if the caller should connect again from `complete` on."""
        result = self._result(message)
        events = result.get("events")
        if not events:
            return [] if self._held else [self._progress(revision_of(result))]
        for each in events:
            if int(each["kv"]["mod_revision"]) <= self.complete:
                continue  # this revision was requested only to detect compaction
            event = self._space.event(each)
            if event is None:
                # The next connection gets Compacted if the previous value was compacted.
                raise Broken("etcd left out a previous value")
            self._held.append(event)
        newest = int(events[-1]["kv"]["mod_revision"])
        if result.get("fragment"):
            return self._release(newest - 1)
        return [*self._release(newest), self._progress(newest)]

    def _release(self, upto: int) -> list[Event | Progress]:
        released = [event for event in self._held if event.revision <= upto]
        self._held = [event for event in self._held if event.revision > upto]
        if released:
            self.complete = released[-1].revision
        return [*released]

    def _progress(self, revision: int) -> Progress:
        self.complete = max(self.complete, revision)
        return Progress(self.complete)

    def _result(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        result: Mapping[str, Any] | None = message.get("result")
        if result is None:
            raise from_error(message.get("error") or message)
        if result.get("canceled"):
            if oldest := int(result.get("compact_revision", 0)):
                raise Compacted(self.complete, oldest)
            reason = result.get("cancel_reason", "the watch was cancelled")
            denied = "permission denied" in reason
            raise Refused(Code.PERMISSION_DENIED if denied else Code.UNAVAILABLE, reason)
        return result
