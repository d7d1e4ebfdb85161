"""Check the event loop of production: TLS details that another event loop could do differently."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import uvloop

from apiserver.authentication import peer
from apiserver.server.connections import _acknowledged
from tests.unit.apiserver.server.harness import CLIENTS, FOREIGN, Setup, serving
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    import pytest


def test_certificates_are_read_once_per_connection_and_authorities_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    read = peer._read

    def counted(connection: object) -> peer.Peer | None:
        nonlocal reads
        reads += 1
        return read(connection)  # type: ignore[arg-type] # the connection that uvloop gives is one in all that is read

    monkeypatch.setattr(peer, "_read", counted)

    async def main() -> None:
        setup = Setup()
        async with serving(setup) as port:
            client = port.client(CLIENTS.issue("alice"))
            for _ in range(3):
                async with client.get("/version") as response:
                    assert (response.status, (await response.json())["name"]) == (200, "alice")
            assert reads == 1
            setup.tls.accept([FOREIGN.certificate])
            setup.clients.replace([FOREIGN.certificate])
            assert (await port.identity(FOREIGN.issue("bob")))[1]["name"] == "bob"
            async with client.get("/version") as response:
                assert response.status == 401
            assert reads == 2

    uvloop.run(main())
    gc.collect()
    assert not peer._peers, "what is known of a connection goes with it"


def test_bytes_that_a_client_has_acknowledged_are_counted() -> None:
    async def main() -> None:
        async with serving(Setup()) as port:
            reader, writer = await port.raw(CLIENTS.issue("alice"))
            writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            (connection,) = port.connections.connections
            before = _acknowledged(connection.transport)
            assert before > 0
            writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await eventually(lambda: _acknowledged(connection.transport) > before)
            writer.close()

    uvloop.run(main())
