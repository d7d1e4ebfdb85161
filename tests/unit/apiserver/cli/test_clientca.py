"""Change --client-ca-file while it is in use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from apiserver.cli.clientca import ClientCaFile
from apiserver.cli.running import UsageError
from tests.unit.apiserver.authorities import Authority

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography import x509

OLD, NEW = Authority("old"), Authority("new")


def pem(*authorities: Authority) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in authorities)


class RecordingTrust:
    """Stand in for a Trust."""

    def __init__(self) -> None:
        self.bundles = asyncio.Queue[list["x509.Certificate"]]()

    def file(self, bundle: Iterable[x509.Certificate]) -> None:
        self.bundles.put_nowait(list(bundle))


async def test_changes_are_reported_and_nonsense_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ca.crt"
    with pytest.raises(UsageError, match="No such file"):
        ClientCaFile(path).read()
    path.write_bytes(pem(OLD))
    file, trust = ClientCaFile(path, interval=0.005), RecordingTrust()
    assert file.read() == [OLD.certificate]
    complained = asyncio.Event()

    def notice(record: logging.LogRecord) -> bool:
        if "previous client authorities stay in use" in record.getMessage():
            complained.set()
        return True

    caplog.handler.addFilter(notice)
    following = asyncio.create_task(file.follow(trust))  # type: ignore[arg-type] # RecordingTrust has what is used of the trust
    async with asyncio.timeout(60):
        path.write_bytes(b"nonsense")
        await complained.wait()
        assert trust.bundles.empty()
        path.write_bytes(pem(OLD, NEW))
        assert await trust.bundles.get() == [OLD.certificate, NEW.certificate]
    following.cancel()
    assert caplog.text.count("previous client authorities stay in use") == 1
