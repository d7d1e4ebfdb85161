"""Save a snapshot of a whole etcd, as `etcdctl snapshot save` does.

The file is what `etcdutl snapshot restore` reads: etcd's database, followed by its SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import os
from binascii import Error as BadBase64
from binascii import a2b_base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import aiohttp
import orjson

from storage.base import Corrupt, Unavailable
from storage.etcd.cluster import Cluster
from storage.etcd.errors import Broken, Code, GatewayError, Refused, from_error, to_storage
from storage.etcd.gateway import Gateway

_PATH = "/maintenance/snapshot"
_SILENCE = 60.0  # seconds without data after which a download has failed
_MOST_LINE = 4 << 20
_DIGEST = hashlib.sha256().digest_size


async def save(cluster: Cluster, file: Path) -> int:
    """Write a snapshot to a new file with mode 0600, and return its size in bytes.

    On return, the snapshot is checked and durable. Raises Unavailable, or Corrupt if the received
    data does not match its checksum."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        size = await _save_from_any(cluster, draft)
        await asyncio.to_thread(_publish, draft, file)
    except FileExistsError as error:
        raise Unavailable(f"{file} exists: name a new file") from error
    except OSError as error:
        raise Unavailable(f"{error.filename or file}: {error.strerror}: check that its folder exists and has room") from error
    finally:
        draft.unlink(missing_ok=True)
    return size


async def _save_from_any(cluster: Cluster, draft: Path) -> int:
    """Save the snapshot of the first endpoint that sends one."""
    failure: GatewayError | None = None
    for _ in cluster.endpoints:
        gateway = cluster.current
        try:
            return await _save(gateway, draft)
        except GatewayError as error:
            if isinstance(error, Refused) and error.code == Code.PERMISSION_DENIED:
                raise Unavailable(
                    f"etcd at {cluster.where}: {error.message}: with etcd's own authentication, only a user with the role root may take "
                    "snapshots: name such a user in --storage, or its certificate"
                ) from error
            failure = error
            cluster.fail_over(gateway, error)
    assert failure is not None
    raise to_storage(failure, cluster.where) from failure


async def _save(gateway: Gateway, draft: Path) -> int:
    digest, held, size = hashlib.sha256(), b"", 0
    with _created(draft) as out:
        async for blob in _blobs(gateway):
            held += blob
            size += len(blob)
            digest.update(held[:-_DIGEST])  # the last bytes may be the checksum, the others are data
            held = held[-_DIGEST:]
            await asyncio.to_thread(out.write, blob)
        await asyncio.to_thread(_flush, out)
    if size <= _DIGEST or digest.digest() != held:
        raise Corrupt(f"the snapshot of {gateway.endpoint} does not match its checksum, and is not kept: check that member's disk")
    return size


async def _blobs(gateway: Gateway) -> AsyncIterator[bytes]:
    """Yield the parts of a snapshot. Raises GatewayError."""
    limits = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
    try:
        async with gateway.call_rpc(_PATH, b"{}", raw=True, timeout=limits) as response:
            held = b""
            async for part in response.content.iter_any():
                *lines, held = (held + part).split(b"\n")
                for line in lines:
                    yield _blob(line)
                if len(held) > _MOST_LINE:
                    raise Broken(f"{gateway.endpoint} answered what is no snapshot")
            if held.strip():
                yield _blob(held)
    except (aiohttp.ClientError, TimeoutError, RuntimeError) as error:
        raise Broken(f"no snapshot from {gateway.endpoint} ({error or type(error).__name__})") from error


def _blob(line: bytes) -> bytes:
    """Return the bytes in a line of the gateway's answer. Raises GatewayError."""
    try:
        answer = orjson.loads(line)
        if isinstance(answer, dict) and isinstance(result := answer.get("result"), dict):
            return a2b_base64(result.get("blob", ""), strict_mode=True)
    except (orjson.JSONDecodeError, BadBase64, TypeError) as error:
        raise Broken("etcd answered what is no snapshot") from error
    inner = answer.get("error") if isinstance(answer, dict) else None
    refusal = inner if isinstance(inner, dict) else answer
    if isinstance(refusal, dict) and {"code", "grpc_code"} & refusal.keys():
        raise from_error(refusal)
    raise Broken("etcd answered what is no snapshot")


def _created(draft: Path) -> BinaryIO:
    return os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _publish(draft: Path, file: Path) -> None:
    os.link(draft, file)  # unlike a rename, it replaces no file
    _sync(file.parent)


def _flush(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
