"""Run a tenant at full load in a process of its own (tests.bench.greedy), and create tenants'
certificates."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from apiserver.server.pki import Authority

CONNECTIONS = 64
DEADLINE = 60.0
CA = "ca.pem"


def certify(folder: Path, authority: Authority, tenants: Mapping[str, str]) -> None:
    """Write the authority's certificate, and a certificate with its key for each tenant, by name
    and group."""
    (folder / CA).write_bytes(authority.pair.certificate)
    for tenant, group in tenants.items():
        pair = authority.client(tenant, [group])
        (folder / f"{tenant}.pem").write_bytes(pair.certificate + pair.key)


def files(folder: Path, tenant: str) -> tuple[str, str]:
    """Return the files of `certify`: the authority's certificate, and the tenant's with its key."""
    return str(folder / CA), str(folder / f"{tenant}.pem")


async def start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a module of the benchmarks as a process with pipes."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


class Greedy:
    """The greedy tenant, running for the duration of the block. `answers`: by status,
    afterwards."""

    def __init__(self, folder: Path, url: str, tenant: str, connections: int = CONNECTIONS) -> None:
        self.answers: dict[str, int] = {}
        self._arguments = (url, *files(folder, tenant), tenant, str(connections))

    async def __aenter__(self) -> Self:
        self._process = await start("tests.bench.greedy", *self._arguments)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(DEADLINE):
                await self._process.stdout.readline()
        except BaseException:
            self._process.kill()
            await self._process.wait()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                said, _ = await self._process.communicate(b"")
        except BaseException:
            self._process.kill()
            await self._process.wait()
            raise
        self.answers = orjson.loads(said)
