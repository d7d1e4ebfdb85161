"""Check that only a process that names a reserved port can bind it."""

from __future__ import annotations

import socket

from hack.realcluster import ports


def test_a_reserved_port_can_be_bound_by_its_number() -> None:
    port = ports.reserve()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()


def test_ports_differ() -> None:
    reserved = [ports.reserve() for _ in range(50)]
    assert len(set(reserved)) == 50


def test_the_kernel_gives_a_reserved_port_to_no_other() -> None:
    reserved = {ports.reserve() for _ in range(20)}
    given = set()
    for _ in range(2000):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            given.add(other.getsockname()[1])
    assert not reserved & given
