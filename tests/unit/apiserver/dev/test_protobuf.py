"""Cover core/v1 objects in protobuf. The end-to-end tests check how kubectl itself writes them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.dev.protobuf import MAGIC, read_core


def field(number: int, value: bytes | str | int) -> bytes:
    """Return one field of a message, as a writer would encode it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def envelope(kind: str, raw: bytes, version: str = "v1") -> bytes:
    return MAGIC + field(1, field(1, version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


def entry(key: str, value: bytes | str) -> bytes:
    return field(1, key) + field(2, value)


TEXT = st.text(max_size=20)


@given(
    TEXT.filter(bool), st.dictionaries(TEXT, st.binary(max_size=200), max_size=4), st.dictionaries(TEXT, TEXT, max_size=3), st.booleans()
)
def test_secrets_are_read(name: str, data: dict[str, bytes], labels: dict[str, str], immutable: bool) -> None:
    meta = field(1, name) + field(2, "") + field(8, b"") + b"".join(field(11, entry(k, v)) for k, v in labels.items())
    raw = field(1, meta) + b"".join(field(2, entry(k, v)) for k, v in data.items()) + field(3, "Opaque") + field(5, int(immutable))
    wanted: dict[str, Any] = {"name": name, **({"labels": labels} if labels else {})}
    expected: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": wanted, "type": "Opaque", "immutable": immutable}
    if data:
        expected["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
    assert read_core(envelope("Secret", raw)) == expected


def test_events_are_read() -> None:
    raw = field(1, field(1, "e")) + field(2, field(1, "Workload") + field(3, "w")) + field(6, field(1, 1_700_000_000) + field(2, 5))
    raw += field(7, b"") + field(8, 3) + field(99, "unknown")
    assert read_core(envelope("Event", raw)) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Workload", "name": "w"},
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "count": 3,
    }


@given(st.binary(max_size=80), st.sampled_from(["Namespace", "Secret", "ConfigMap", "Event"]))
def test_damage_is_refused_and_never_crashes(raw: bytes, kind: str) -> None:
    for body in (MAGIC + raw, envelope(kind, raw), raw):
        try:
            assert read_core(body)["apiVersion"] == "v1"
        except ApiError as error:
            assert error.code == 400  # noqa: PT017 - some of it may be read


@pytest.mark.parametrize("body", [b"{}", MAGIC, envelope("Pod", b""), envelope("Secret", b"", "v2"), envelope("Secret", b"\x0a\xff")])
def test_malformed_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError):
        read_core(body)
