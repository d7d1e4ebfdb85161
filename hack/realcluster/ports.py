"""Reserve loopback ports for a minute, for processes that take a port number instead of a
socket."""

from __future__ import annotations

import socket


def reserve() -> int:
    """Return a free TCP port of 127.0.0.1.

    The port is left in TIME_WAIT. For about a minute, the kernel does not assign it to a request
    for *any* port, neither for listening nor for an outgoing connection. A server that names the
    port (with SO_REUSEADDR, as Go and asyncio do) gets it. If port 0 were only bound and closed
    again, one of the many connections at start-up could take it.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        address: tuple[str, int] = listener.getsockname()
        with socket.create_connection(address, timeout=5) as client:
            accepted, _ = listener.accept()
            # The side that closes first keeps TIME_WAIT. It has to be the listener's side, which
            # owns the reserved port.
            accepted.close()
            client.recv(1)
    return address[1]
