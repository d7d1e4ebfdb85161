"""Cover entries: the bytes that are served, and what is known of objects without decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.generic.entry import RECENT_WRITES, Entry, EntryParts, RecentWrites, decoder, encode_stored
from apiserver.registry.workload import WORKLOADS
from tests.unit.apiserver.registry.conftest import CONTEXT, Registries

if TYPE_CHECKING:
    import pytest

KEY = WORKLOADS.key("ns", "w")


def workload(name: str = "w", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns", "labels": labels}, "spec": {"online": True}}


def parts(entry: Entry) -> tuple[Any, ...]:
    return (entry.key, entry.namespace, entry.name, entry.revision, entry.json, entry.labels, entry.fields)


def test_a_draft_spares_decoding_and_nothing_else() -> None:
    obj, recent = workload(a="b"), RecentWrites()
    value = encode_stored(WORKLOADS, obj)
    recent.keep(KEY, value, EntryParts.of(WORKLOADS, obj))
    obj["metadata"]["labels"]["late"] = "x"
    decode = decoder(WORKLOADS, recent=recent)
    drafted, decoded = decode(KEY, value, 7), decode(KEY, value, 7)
    assert parts(drafted) == parts(decoded)
    assert drafted.object()["metadata"]["resourceVersion"] == "7"


def test_a_draft_is_of_its_very_bytes() -> None:
    recent = RecentWrites()
    value, other = encode_stored(WORKLOADS, workload(a="b")), encode_stored(WORKLOADS, workload(a="c"))
    recent.keep(KEY, value, EntryParts.of(WORKLOADS, workload(a="b")))
    assert recent.take(KEY, other) is None
    assert recent.take(WORKLOADS.key("ns", "v"), value) is None
    known = recent.take(KEY, bytes(bytearray(value)))
    assert known is not None
    assert known.labels == {"a": "b"}
    assert recent.take(KEY, value) is None


def test_recent_writes_are_bounded_by_bytes() -> None:
    recent, value = RecentWrites(), b"x" * 1_000_000
    known = EntryParts.of(WORKLOADS, workload())
    for number in range(50):
        recent.keep(str(number), value, known)
        recent.keep("again", b"x", known)
    assert recent.take("0", value) is None
    kept = [number for number in range(50) if recent.take(str(number), value) is not None]
    assert kept == list(range(50 - len(kept), 50))
    assert 10 < len(kept) <= RECENT_WRITES // len(value)


def test_the_size_of_recent_writes_includes_labels() -> None:
    recent = RecentWrites()
    many = {f"l{number}": "" for number in range(512)}
    for number in range(1000):
        recent.keep(str(number), b"x", EntryParts("ns", "w", dict(many), {}))
    assert sum(recent.take(str(number), b"x") is not None for number in range(1000)) < RECENT_WRITES // (512 * 100)


async def test_written_objects_are_not_decoded_again(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    await registries.workloads.create(CONTEXT, "ns", {"metadata": {"name": "before"}})
    decoded = list[bytes]()
    loads = orjson.loads

    def counting(value: bytes) -> Any:
        decoded.append(value)
        return loads(value)

    monkeypatch.setattr("apiserver.registry.generic.entry.orjson.loads", counting)
    entry = await registries.workloads.create(CONTEXT, "ns", {"metadata": {"name": "w"}})
    assert (decoded, registries.workloads.find("ns", "w")) == ([], entry)
    await registries.workloads.update(CONTEXT, "ns", "w", lambda old: {**old, "spec": {**old["spec"], "online": False}})
    assert set(decoded) == {entry.json}, "only what is changed"
