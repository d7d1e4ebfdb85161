"""Compare random histories, step by step, with a model that is obviously right: a list of
events."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from storage.base import Check, Compacted, Conflict, Delete, Event, FutureRevision, KeyValue, Operation, Put, Store
from storage.testing.harness import Harness, collect

KEYS = st.sampled_from(["/a", "/a/", "/a/x", "/a/y", "/a0", "/b", "/b/\ud7ff", "/b/\ue000", "/b/😀"])
PREFIXES = st.sampled_from(["", "/", "/a", "/a/", "/b/", "/b/\ud7ff", "/none"])
EXPECTATIONS = st.sampled_from(["any", "any", "right", "right", "absent", "wrong"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "delete", "check"]), KEYS, EXPECTATIONS), max_size=4, unique_by=lambda step: step[1]
)
FRACTION = st.floats(0, 1)


class Model:
    """All events so far, and the states that follow from them. The store assigned the revisions."""

    def __init__(self, revision: int) -> None:
        self.revision = self.compacted = revision
        self.events: list[Event] = []

    def state(self, at: int) -> dict[str, KeyValue]:
        state: dict[str, KeyValue] = {}
        for event in self.events:
            if event.revision <= at:
                if event.type == "put":
                    state[event.key] = KeyValue(event.key, event.value, event.revision)
                else:
                    del state[event.key]
        return state

    def conflict(self, operations: list[Operation]) -> tuple[str, int | None, int] | None:
        state = self.state(self.revision)
        for operation in operations:
            actual = state[operation.key].revision if operation.key in state else 0
            if operation.expected not in (None, actual):
                return operation.key, operation.expected, actual
        return None

    def changes(self, operations: list[Operation], revision: int) -> list[Event]:
        state = self.state(self.revision)
        events: list[Event] = []
        for operation in operations:
            old = state.get(operation.key)
            previous = old.value if old else None
            if isinstance(operation, Put):
                events.append(Event("put", operation.key, operation.value, revision, previous))
            elif isinstance(operation, Delete) and old:
                events.append(Event("delete", operation.key, old.value, revision, previous))
        return events


class ModelTests(Harness):
    model_settings = settings(
        max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    """The amount of testing. A slow backend should do less."""

    @pytest.mark.timeout(300)
    def test_random_histories(self, tmp_path: Path) -> None:
        machine = cast("type[RuleBasedStateMachine]", lambda: _Machine(self.open_store, tmp_path))
        run_state_machine_as_test(machine, settings=self.model_settings)


class _Machine(RuleBasedStateMachine):
    def __init__(self, open_store: Callable[[Path], Store], parent: Path) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = TemporaryDirectory(dir=parent)
        self.open: Callable[[], Store] = lambda: open_store(Path(self.directory.name))
        self.numbers = itertools.count()
        self.store = self.open()
        self.run(self.store.start())
        self.model = Model(self.run(self.store.current_revision()))

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(asyncio.wait_for(coroutine, 60))

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.directory.cleanup()

    def operation(self, kind: str, key: str, expectation: str) -> Operation:
        state = self.model.state(self.model.revision).get(key)
        actual = state.revision if state else 0
        expected = {"any": None, "right": actual, "absent": 0, "wrong": actual + 1}[expectation]
        if kind == "put":
            return Put(key, b"%d" % next(self.numbers), expected)
        return Delete(key, expected) if kind == "delete" else Check(key, actual if expected is None else expected)

    def readable(self, fraction: float) -> int:
        """Return some revision between the compacted and the latest one."""
        return self.model.compacted + round(fraction * (self.model.revision - self.model.compacted))

    @rule(steps=OPERATIONS)
    def commit(self, steps: list[tuple[str, str, str]]) -> None:
        operations = [self.operation(*step) for step in steps]
        if (conflict := self.model.conflict(operations)) is not None:
            with pytest.raises(Conflict) as caught:
                self.run(self.store.commit(operations))
            assert (caught.value.key, caught.value.expected, caught.value.actual) == conflict
            return
        revision = self.run(self.store.commit(operations))
        events = self.model.changes(operations, revision)
        assert revision > self.model.revision if events else revision == self.model.revision
        self.model.events += events
        self.model.revision = revision

    @rule(prefix=PREFIXES, start=st.none() | KEYS, limit=st.integers(0, 5), fraction=st.none() | FRACTION)
    def list(self, prefix: str, start: str | None, limit: int, fraction: float | None) -> None:
        at = 0 if fraction is None else self.readable(fraction)
        page = self.run(self.store.list(prefix, start=start, limit=limit, at=at))
        state = self.model.state(at or self.model.revision)
        wanted = [item for key, item in sorted(state.items()) if key.startswith(prefix) and key >= (start or "")]
        assert [*page.items] == (wanted[:limit] if limit else wanted)
        assert page.more == (0 < limit < len(wanted))
        assert page.revision == (at or self.model.revision)

    @rule(prefix=PREFIXES, fraction=FRACTION)
    def watch(self, prefix: str, fraction: float) -> None:
        after = self.readable(fraction)
        events = self.run(collect(self.store, prefix, after, self.model.revision))
        assert events == [event for event in self.model.events if event.revision > after and event.key.startswith(prefix)]

    @rule(fraction=FRACTION)
    def compact(self, fraction: float) -> None:
        revision = self.readable(fraction)
        self.run(self.store.compact(revision))
        self.model.compacted = revision

    @precondition(lambda self: self.model.compacted < self.model.revision)
    @rule(beyond=st.integers(1, 3))
    def miss(self, beyond: int) -> None:
        with pytest.raises(FutureRevision):
            self.run(self.store.list("/", at=self.model.revision + beyond))
        if any(event.revision < self.model.compacted for event in self.model.events):
            with pytest.raises(Compacted):
                self.run(self.store.list("/", at=self.model.compacted - 1))
            with pytest.raises(Compacted):
                self.run(collect(self.store, "/", self.model.compacted - 1, self.model.revision))

    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self.open()
        self.run(self.store.start())

    @invariant()
    def same_state(self) -> None:
        state = self.model.state(self.model.revision)
        assert [*self.run(self.store.list("")).items] == [item for _, item in sorted(state.items())]
        assert self.run(self.store.current_revision()) == self.model.revision
