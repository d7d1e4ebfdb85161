"""Check that a snapshot that is damaged, cut off or refused leaves no file."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from typing import TYPE_CHECKING

import orjson
import pytest

from storage.base import Corrupt, StorageError, Unavailable
from storage.etcd import EtcdStore
from storage.testing.harness import opened
from tests.unit.storage.etcd.fakeetcd import Refusal, header, running

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = bytes(range(256)) * 300
WHOLE = DATABASE + hashlib.sha256(DATABASE).digest()


def lines(content: bytes, size: int = 1000) -> bytes:
    parts = (content[start : start + size] for start in range(0, len(content), size))
    return b"\n".join(orjson.dumps({"result": {"blob": b64encode(part).decode()}}) for part in parts)


async def save(body: bytes, file: Path, status: int = 200) -> int:
    async with running() as etcd:
        etcd.answer("/kv/range", header(5))
        etcd.answer("/maintenance/snapshot", Refusal(status, body))
        store = EtcdStore([etcd.endpoint])
        async with opened(store):
            return await store.save_snapshot(file)


@pytest.mark.parametrize("size", [1, 7, 31, 33, 1000, 100_000])
async def test_a_whole_snapshot_is_kept_however_it_is_divided(size: int, tmp_path: Path) -> None:
    content = WHOLE if size > 1 else WHOLE[:1] + hashlib.sha256(WHOLE[:1]).digest()
    assert await save(lines(content, size), tmp_path / "file") == len(content)
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (lines(WHOLE[:-1]), Corrupt, "checksum"),
        (lines(WHOLE[1:]), Corrupt, "checksum"),
        (b"", Corrupt, "checksum"),
        (lines(WHOLE)[:-20], Unavailable, "no snapshot"),
        (b"<html>", Unavailable, "no snapshot"),
        (b'{"result": {"blob": "*"}}', Unavailable, "no snapshot"),
        (b'{"result": {"blob": 7}}', Unavailable, "no snapshot"),
        (b"[]", Unavailable, "no snapshot"),
        (lines(WHOLE) + b'\n{"error": {"grpc_code": 13, "message": "disk"}}', Unavailable, "disk"),
        (b'{"code": 7, "message": "permission denied"}', Unavailable, "role root"),
        (b'{"error": "permission denied", "code": 7}', Unavailable, "role root"),
    ],
)
async def test_anything_else_is_an_error_and_no_file(body: bytes, error: type[StorageError], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        await save(body, tmp_path / "file")
    assert os.listdir(tmp_path) == []
