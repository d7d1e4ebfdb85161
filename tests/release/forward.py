"""Forward one port of a Service as kube-proxy does: `python -m tests.release.forward LISTEN-ADDRESS
PORT ADDRESS PORT`.

It runs until it is ended."""

from __future__ import annotations

import asyncio
import sys


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends."""
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def forward(listen: str, port: int, address: str, target: int) -> None:
    """Forward each connection. If the target does not listen, the connection is closed at once."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind = await asyncio.open_connection(address, target)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))

    server = await asyncio.start_server(connected, listen, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(forward(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
