"""Write Kubernetes Events (core/v1) about objects, on a best-effort basis.

Recording never delays the caller, and lost events are logged. Repeats of the same (object, reason,
message) increase `count` of one Event. Events are written to the object's namespace, those about
cluster-scoped objects to `default`. Each event is logged too, as by client-go's broadcaster, so
that the operator's log shows binds, failing classes and refused secrets.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from apiserver.client.client import Client
from apiserver.client.clock import timestamp
from apiserver.client.errors import ApiException, BadConfig, describe, ignore_not_found
from apiserver.client.objects import Object, Resource, key_of, name_of, namespace_of, uid_of
from apiserver.client.text import printable

log = logging.getLogger(__name__)

EVENTS = Resource("", "v1", "events", "Event")
MAX_PENDING = 10_000
BURST, PER_SECOND = 20, 50
"""The number of waiting events above which they are written at most at this rate per second. So
they leave the server free for more urgent requests."""
REMEMBERED = 4096
MESSAGE_LIMIT = 1024
LOGGED = 2048
"""The most characters of a message that are logged."""

Identity = tuple[str, str, str, str]


@dataclass(slots=True)
class _Series:
    """Hold the name and the count of a written Event."""

    namespace: str
    name: str
    count: int


def _named(about: Object) -> Object:
    """Return the parts of an object that an Event contains. Whole objects would take too much
    memory while thousands of events wait."""
    metadata = {field: about["metadata"][field] for field in ("name", "namespace", "uid") if field in about["metadata"]}
    return {"apiVersion": about["apiVersion"], "kind": about["kind"], "metadata": metadata}


def _log(about: Object, type_: str, reason: str, message: str) -> None:
    """Log an event on one line."""
    text = printable(message, LOGGED)
    log.log(logging.WARNING if type_ == "Warning" else logging.INFO, "%s %s: %s: %s", about["kind"].lower(), key_of(about), reason, text)


class EventRecorder:
    """Records events at once, and writes them in `run`. `component` is the reporting component.

    Beyond a burst, at most `per_second` events are written each second."""

    def __init__(self, client: Client, component: str, *, per_second: float = PER_SECOND) -> None:
        self._client, self._component, self._per_second = client, component, per_second
        self._pending: OrderedDict[Identity, tuple[Object, int]] = OrderedDict()
        self._wanted = asyncio.Event()
        self._series: OrderedDict[Identity, _Series] = OrderedDict()
        self._sequence = int.from_bytes(os.urandom(6), "big")

    def event(self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str, *, detail: str = "") -> None:
        """Record an event about an object, which needs apiVersion, kind and metadata.

        `detail` is only logged, because tenants read events."""
        _log(about, type_, reason, f"{message} ({detail})" if detail else message)
        message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 3] + "..."
        identity = (uid_of(about), type_, reason, message)
        _, times = self._pending.pop(identity, ({}, 0))
        if len(self._pending) >= MAX_PENDING:
            (_, _, lost, _), (of, _) = self._pending.popitem(last=False)
            log.warning("event %s about %s %s is lost: too many are waiting to be written", lost, of.get("kind"), key_of(of))
        self._pending[identity] = (_named(about), times + 1)
        self._wanted.set()

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._pending:
                if len(self._pending) > BURST:
                    await asyncio.sleep(1 / self._per_second)
                identity, (about, times) = self._pending.popitem(last=False)
                try:
                    await self._write(identity, about, times)
                except (ApiException, BadConfig) as error:
                    log.warning("event %s about %s %s is lost: %s", identity[2], about.get("kind"), key_of(about), describe(error))

    async def _write(self, identity: Identity, about: Object, times: int) -> None:
        series = self._series.get(identity)
        if series is not None:
            self._series.move_to_end(identity)
            series.count += times
            patch = {"count": series.count, "lastTimestamp": timestamp()}
            with ignore_not_found():  # it has expired: create a new one
                await self._client.patch(EVENTS, series.name, patch, series.namespace)
                return
            del self._series[identity]
        made = self._object(identity, about, times)
        await self._client.create(EVENTS, made, made["metadata"]["namespace"])
        self._series[identity] = _Series(made["metadata"]["namespace"], made["metadata"]["name"], times)
        while len(self._series) > REMEMBERED:
            self._series.popitem(last=False)

    def _object(self, identity: Identity, about: Object, times: int) -> Object:
        _, type_, reason, message = identity
        self._sequence += 1
        namespace, now = namespace_of(about) or "default", timestamp()
        reference = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": name_of(about), "uid": uid_of(about)}
        if namespace_of(about):
            reference["namespace"] = namespace
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name_of(about)[:200]}.{self._sequence:x}", "namespace": namespace},
            "involvedObject": reference,
            "type": type_,
            "reason": reason,
            "message": message,
            "count": times,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": socket.gethostname(),
        }
