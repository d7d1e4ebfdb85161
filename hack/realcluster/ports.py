"""Free loopback ports that stay free for a minute, for processes that take a port number but not a
socket."""

from __future__ import annotations

import socket


def reserve() -> int:
    """A free TCP port of 127.0.0.1.

    The port is left in TIME_WAIT: for about a minute the kernel gives it to nobody who asks for
    *any* port, neither for listening nor for an outgoing connection, while a server that names it
    (with SO_REUSEADDR, as Go and asyncio do) gets it. Merely binding port 0 and closing it again
    would let the many connections that start-up makes take it.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        address: tuple[str, int] = listener.getsockname()
        with socket.create_connection(address, timeout=5) as client:
            accepted, _ = listener.accept()
            # Whoever closes first keeps TIME_WAIT: it has to be the listener's side, which owns the
            # reserved port.
            accepted.close()
            client.recv(1)
    return address[1]
