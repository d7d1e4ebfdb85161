"""From the messages of one etcd watch to what a Store's watch yields. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.base import Compacted, Progress
from storage.etcd.codec import revision_of
from storage.etcd.errors import Broken, Code, Refused, from_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.base import Event
    from storage.etcd.codec import Keyspace

__all__ = ["Assembler"]


class Assembler:
    """Takes one watch's messages in their order.

    complete: everything up to this revision was given out; where the next connection goes on. It advances with events and
    with progress messages only: the header of a "created" or of a batch may be ahead of events still to come."""

    def __init__(self, space: Keyspace, after: int) -> None:
        self.complete = after
        self._space = space
        self._held: list[Event] = []  # of one revision, the rest of which comes with the next fragment

    def created(self, message: Mapping[str, Any]) -> int:
        """The first message: the member's revision. Raises as feed does."""
        result = self._result(message)
        if not result.get("created"):
            raise Broken("etcd began a watch with something else")
        return revision_of(result)

    def feed(self, message: Mapping[str, Any]) -> list[Event | Progress]:
        """What can be given out now. Each list ends with Progress unless the newest revision is cut by a fragment.

        Raises Compacted; Broken when to connect again, from `complete` on; Refused."""
        result = self._result(message)
        events = result.get("events")
        if not events:
            return [] if self._held else [self._progress(revision_of(result))]
        for each in events:
            if int(each["kv"]["mod_revision"]) <= self.complete:
                continue  # the revision that was asked for only to hear of compaction
            event = self._space.event(each)
            if event is None:
                raise Broken("etcd left out a previous value")  # read again: compacted ones are then said to be so
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
