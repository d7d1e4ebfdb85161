"""Cover entries: the bytes that are served, and what is known of objects without decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.generic.entry import DRAFTS, Drafts, Entry, Known, decoder, encode_stored
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
    obj, drafts = workload(a="b"), Drafts()
    value = encode_stored(WORKLOADS, obj)
    drafts.keep(KEY, value, Known.of(WORKLOADS, obj))
    obj["metadata"]["labels"]["late"] = "x"
    decode = decoder(WORKLOADS, drafts=drafts)
    drafted, decoded = decode(KEY, value, 7), decode(KEY, value, 7)
    assert parts(drafted) == parts(decoded)
    assert drafted.object()["metadata"]["resourceVersion"] == "7"


def test_a_draft_is_of_its_very_bytes() -> None:
    drafts = Drafts()
    value, other = encode_stored(WORKLOADS, workload(a="b")), encode_stored(WORKLOADS, workload(a="c"))
    drafts.keep(KEY, value, Known.of(WORKLOADS, workload(a="b")))
    assert drafts.take(KEY, other) is None
    assert drafts.take(WORKLOADS.key("ns", "v"), value) is None
    known = drafts.take(KEY, bytes(bytearray(value)))
    assert known is not None
    assert known.labels == {"a": "b"}
    assert drafts.take(KEY, value) is None


def test_drafts_are_bounded_by_bytes() -> None:
    drafts, value = Drafts(), b"x" * 1_000_000
    known = Known.of(WORKLOADS, workload())
    for number in range(50):
        drafts.keep(str(number), value, known)
        drafts.keep("again", b"x", known)
    assert drafts.take("0", value) is None
    kept = [number for number in range(50) if drafts.take(str(number), value) is not None]
    assert kept == list(range(50 - len(kept), 50))
    assert 10 < len(kept) <= DRAFTS // len(value)


def test_labels_count_for_what_they_take() -> None:
    drafts = Drafts()
    many = {f"l{number}": "" for number in range(512)}
    for number in range(1000):
        drafts.keep(str(number), b"x", Known("ns", "w", dict(many), {}))
    assert sum(drafts.take(str(number), b"x") is not None for number in range(1000)) < DRAFTS // (512 * 100)


async def test_what_is_written_is_not_decoded(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
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
