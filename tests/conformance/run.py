"""Perform the steps of a case on one server."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import TYPE_CHECKING, Any

from tests.conformance.normal import Normal, decoded

if TYPE_CHECKING:
    from tests.conformance.case import Case, Step
    from tests.conformance.client import ApiServer, Stream

WATCH_SECONDS = (3, 15, 60)
"""The durations of watches: of the first attempt, and of later ones on a busy machine.

A later attempt is made when the steps beside a watch took too much of its time."""
REFERENCE = re.compile(r"\$\{([\w-]+):([^}]+)\}")


class TooSlow(Exception):
    """A watch may have ended before all expected changes."""


def outcome(case: Case, namespace: str, server: ApiServer, seconds: int) -> dict[str, Any]:
    """Return the normalised answers by step, with watches of this many seconds.

    Raises TooSlow if the other steps took half of that."""
    run = _Run(namespace, server, seconds)
    try:
        return {f"{number}-{step.name}" if step.name else str(number): run.step(step) for number, step in enumerate(case.steps, 1)}
    finally:
        for stream in run.streams.values():
            stream.close()


class _Run:
    """One server's state between steps."""

    def __init__(self, namespace: str, server: ApiServer, seconds: int) -> None:
        self.namespace, self.server, self.seconds = namespace, server, seconds
        self.normal = Normal()
        self.answers: dict[str, Any] = {}
        self.streams: dict[str, Stream] = {}
        self.began: dict[str, float] = {}
        self.sent = 0

    def step(self, step: Step) -> Any:
        if step.collect:
            stream = self.streams.pop(step.name, None)
            if stream and time.monotonic() - self.began[step.name] > self.seconds / 2:
                stream.close()
                raise TooSlow
            return self.normal.events(stream.read()) if stream else "not watched"
        path, body = self.filled(step.path).replace("{seconds}", str(self.seconds)), step.body
        if step.watch:
            self.began[step.name] = time.monotonic()
        if isinstance(body, dict | list):
            body = json.loads(self.filled(json.dumps(body)))
        elif isinstance(body, str):
            body = self.filled(body)
        self.sent += 1
        try:
            stream = self.server.open(step.method, path, body, {"Audit-ID": f"{self.namespace}-{self.sent}", **step.headers})
        except http.client.RemoteDisconnected:
            return {"status": "connection closed without an answer"}
        if step.watch and stream.response.status == 200:
            self.streams[step.name] = stream
            return {"status": 200, "content-type": stream.response.getheader("Content-Type")}
        answer = stream.read()
        self.answers[step.name] = decoded(answer)
        return {"status": answer.status} if step.quiet else self.normal.answer(answer, step.part)

    def filled(self, text: str) -> str:
        """Return the text with the namespace and values of earlier answers."""
        return REFERENCE.sub(lambda found: str(self._lookup(found[1], found[2])), text.replace("{ns}", self.namespace))

    def _lookup(self, name: str, path: str) -> Any:
        value = self.answers[name]
        if isinstance(value, str):
            value = json.loads(value)  # the answer has no JSON content type
        for part in path.split("|" if "|" in path else "."):
            value = value[int(part)] if isinstance(value, list) else value.get(part, f"no-{part}")
        return value
