"""Check that each event is a line of the log, whatever its message contains. Only the log contains
the owner's values."""

from __future__ import annotations

import logging
from typing import Literal

import pytest

from apiserver.client.client import Client
from controllers.runtime.events import LOGGED, EventRecorder

ABOUT = {"kind": "Workload", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "team-a", "uid": "u"}}


@pytest.mark.parametrize(("type_", "level"), [("Normal", logging.INFO), ("Warning", logging.WARNING)])
async def test_an_event_is_logged_with_its_object_and_reason(
    caplog: pytest.LogCaptureFixture, type_: Literal["Normal", "Warning"], level: int
) -> None:
    caplog.set_level(logging.INFO)
    recorder = EventRecorder(Client({}), "tester")
    recorder.event(ABOUT, type_, "Bound", "a host was found", detail="host h1")
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (level, "workload team-a/web: Bound: a host was found (host h1)")
    [(_, _, _, message)] = recorder._pending
    assert message == "a host was found", "tenants read it"


async def test_a_message_cannot_pass_for_another_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    forged = "no key\n2026-01-01 INFO controllers: workload team-b/web: Bound\x1b[2J\x9b" + "x" * LOGGED
    EventRecorder(Client({}), "tester").event(ABOUT, "Warning", "InvalidSecret", forged)
    said = caplog.records[0].getMessage()
    assert said.isprintable()
    assert len(said) < LOGGED + 100
