"""Run the server's process, and send requests to it as an administrator."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp

from apiserver.dev.directory import Directory
from apiserver.filters.authorization import MASTERS

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 180
REQUEST_SECONDS = 30
NAMESPACE = "tenant"
WORKLOAD_API = "/apis/workload.metal3.io/v1alpha1"
WORKLOADS = f"{WORKLOAD_API}/namespaces/{NAMESPACE}/workloads"


class Refused(AssertionError):
    """The server's answer is not the expected one."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """One folder with a database and, between start and kill, a process.

    It is an async context manager, which leaves nothing running. `storage`: where objects are
    instead, in the format of `serve --storage`. Replicas have the same folder, and so the same
    authority. `program`: the module to run."""

    def __init__(self, folder: Path, storage: str = "", program: str = "tests.faults.server") -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.database = folder, folder / "db"
        self._storage, self._program = storage or f"sqlite:///{self.database}", program
        self._process: asyncio.subprocess.Process | None = None
        authority = Directory(folder).authority()
        pair = authority.client("admin", [MASTERS])
        (folder / "client.pem").write_bytes(pair.certificate + pair.key)
        self._context = ssl.create_default_context(cadata=authority.pair.certificate.decode("ascii"))
        self._context.load_cert_chain(folder / "client.pem")
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Server:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=self._context), timeout=timeout)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kill()
        assert self._session is not None
        await self._session.close()

    async def start(self) -> None:
        """Start the process, and return when it answers. Raises AssertionError with its output if
        it does not."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self._program, str(self.folder), self._storage),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            _, said = await self._process.communicate()
            status, self._process = self._process.returncode, None
            raise AssertionError(f"the server ended with {status}: {said.decode()}")
        self.url = f"https://127.0.0.1:{int(line)}"

    async def kill(self) -> str:
        """Kill it with SIGKILL, and return its error output when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return ""
        with suppress(ProcessLookupError):  # it may have ended by itself
            process.kill()
        _, said = await process.communicate()
        return said.decode()

    @property
    def pid(self) -> int:
        """Return the id of the running process."""
        assert self._process is not None, "start it first"
        return self._process.pid

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the session for watches."""
        assert self._session is not None, "enter it first"
        return self._session

    async def status(self, path: str) -> int:
        """Return the status of the answer to a GET; 0 if there is none."""
        try:
            async with self.session.get(self.url + path) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def until(self, path: str, status: int) -> None:
        """Wait until a GET is answered with this status. Raises TimeoutError if that takes too
        long."""
        async with asyncio.timeout(START_SECONDS):
            while await self.status(path) != status:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None, *, absent: bool = False) -> dict[str, Any]:
        """Return the decoded answer.

        Raises aiohttp.ClientError or TimeoutError if there is none: the request may have been
        carried out, or not. Raises Refused for an answer that is an error. `absent`: return an
        empty dict for 404."""
        async with self.session.request(method, self.url + path, json=body) as response:
            content = await response.read()
        if absent and response.status == 404:
            return {}
        if response.status >= 300:
            raise Refused(response.status, f"{method} {path}: {response.status} {content[:500]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer


async def cli(*arguments: str) -> str:
    """Run metal3-workloads. Return its error output. Raises AssertionError if it fails."""
    command = (sys.executable, "-m", "apiserver.cli.main", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(START_SECONDS):
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
