"""Cover the audit log's file, queue and thread."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from apiserver.audit import log as auditlog
from apiserver.audit.event import METADATA, REQUEST, Record, encode, noted
from apiserver.audit.log import AuditLog
from apiserver.handlers.request.call import RequestInfo

if TYPE_CHECKING:
    from collections import deque
    from pathlib import Path


def record(name: str) -> Record:
    return Record(level=METADATA, audit_id=name, stage="ResponseComplete", uri="/", info=RequestInfo(), user=None, received=0, now=0)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["auditID"] for line in path.read_text().splitlines()]


def test_events_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for batch in (["a", "b"], ["c"]):
        log = AuditLog(path)
        log.start()
        for name in batch:
            log.put(record(name))
        log.close()
        assert (log.events, log.errors) == (len(batch), 0)
    assert ids(path) == ["a", "b", "c"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_events_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, sizes = AuditLog(tmp_path / "audit.log"), list[int]()
    write = log._write

    def counting(batch: deque[Record]) -> None:
        sizes.append(len(batch))
        write(batch)

    monkeypatch.setattr(log, "_write", counting)
    log.start()
    names = [str(number) for number in range(200)]
    for name in names:
        log.put(record(name))
    log.close()
    assert ids(tmp_path / "audit.log") == names
    assert len(sizes) < len(names) / 4


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log", max_events=2)
    for name in "abc":
        log.put(record(name))
    log.start()
    log.close()
    assert (log.events, log.errors, ids(tmp_path / "audit.log")) == (2, 1, ["a", "b"])
    small = AuditLog(tmp_path / "small.log", max_size=3000)
    for name in "ab":
        small.put(record(name))
    assert small.errors == 1


class Written:
    """Wait until a log has handled this many events."""

    def __init__(self, log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = threading.Semaphore(0)
        write = log._write

        def announced(batch: object) -> None:
            write(batch)  # type: ignore[arg-type] # the type of a batch is its own
            self.done.release()

        monkeypatch.setattr(log, "_write", announced)

    def wait(self) -> None:
        assert self.done.acquire(timeout=30)


def test_a_file_that_was_moved_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    log = AuditLog(path)
    written = Written(log, monkeypatch)
    log.start()
    log.put(record("a"))
    written.wait()
    path.rename(moved)
    log.put(record("b"))
    written.wait()
    moved.rename(tmp_path / "audit.log.2")
    path.rename(moved)
    path.touch()
    log.put(record("c"))
    log.close()
    assert (ids(tmp_path / "audit.log.2"), ids(moved), ids(path)) == (["a"], ["b"], ["c"])


def test_a_disk_in_trouble_loses_events_and_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    log = AuditLog(folder / "audit.log")
    written = Written(log, monkeypatch)
    log.start()
    (folder / "audit.log").unlink()
    folder.rmdir()
    for name in "ab":
        log.put(record(name))
        written.wait()
    folder.mkdir()
    log.put(record("c"))
    log.close()
    assert (log.events, log.errors, ids(folder / "audit.log")) == (1, 2, ["c"])
    assert len([line for line in caplog.messages if "audit events are lost" in line]) == 1


def test_an_event_that_cannot_be_encoded_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(one: Record) -> bytes:
        if one.audit_id == "bad":
            raise ValueError("bad")
        return encode(one)

    monkeypatch.setattr(auditlog, "encode", picky)
    log = AuditLog(tmp_path / "audit.log")
    for name in ("a", "bad", "b"):
        log.put(record(name))
    log.start()
    log.close()
    assert (log.events, log.errors, ids(tmp_path / "audit.log")) == (2, 1, ["a", "b"])


def test_a_path_that_cannot_be_had_is_reported_at_once(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "none" / "audit.log")
    with pytest.raises(FileNotFoundError):
        log.start()
    log.close()


def test_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AuditLog(None)
    log.start()
    log.put(record("a"))
    log.close()
    assert json.loads(capfdbinary.readouterr().out)["auditID"] == "a"


def test_a_full_queue_leaves_out_objects_before_events(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path, max_size=100_000)
    for name in ("a", "b"):
        log.put(replace(record(name), level=REQUEST, sent=noted({"spec": "x" * 80_000}, REQUEST)))
    log.start()
    log.close()
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert ("requestObject" in first, "requestObject" in second, log.errors) == (True, False, 0)
    assert second["annotations"] == {"audit.k8s.io/truncated": "true"}
