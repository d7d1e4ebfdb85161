"""Run a tenant at full load, in a process of its own: `python -m tests.bench.greedy URL CA CRT
NAMESPACE COUNT`.

`COUNT` connections send the most expensive requests that a tenant may send, one after the other
without a pause, until stdin ends. It prints a line when there are as many answers as connections,
all of which are open by then. At the end, it prints the number of answers of each status, as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import uvloop
from aiohttp import ClientError, ClientSession, TCPConnector

from tests.bench.target import TIMEOUT, client_context
from tests.bench.work import workload

if TYPE_CHECKING:
    from collections.abc import Sequence

API = "/apis/workload.metal3.io/v1alpha1"
TABLE_GZIP = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io", "Accept-Encoding": "gzip"}
JSON = {"Content-Type": "application/json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}


async def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    url, authority, certificate, namespace, count = arguments
    context = client_context(authority, certificate, certificate)
    answers: Counter[int] = Counter()
    async with ClientSession(url, connector=TCPConnector(ssl=context, limit=0), timeout=TIMEOUT, auto_decompress=False) as session:
        clients = [asyncio.create_task(_client(session, requests(namespace), number, answers)) for number in range(int(count))]
        while answers.total() < int(count):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        print("busy", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    sys.stdout.write(orjson.dumps(answers, option=orjson.OPT_NON_STR_KEYS).decode())


def requests(namespace: str) -> list[tuple[str, str, dict[str, str], bytes]]:
    """Return method, path, headers and body of each request."""
    path = f"{API}/namespaces/{namespace}/workloads"
    big = workload("workload.metal3.io", "big", rare=False)
    big["metadata"]["annotations"] = {f"example.com/note-{number}": "x" * 150 for number in range(1000)}
    selector = ",".join(f"label-{number} notin (a,b,c)" for number in range(60))
    return [
        ("GET", path, TABLE_GZIP, b""),
        ("POST", f"{path}?dryRun=All", JSON, orjson.dumps(big)),
        ("GET", f"{path}?labelSelector={selector}", {"Accept-Encoding": "gzip"}, b""),
        ("PATCH", f"{path}/big?dryRun=All&fieldManager=greedy&force=true", APPLY, orjson.dumps(big)),
        ("GET", path, {"Accept-Encoding": "identity"}, b""),
    ]


async def _client(session: ClientSession, wanted: list[Any], first: int, answers: Counter[int]) -> None:
    number = first
    while True:
        method, path, headers, body = wanted[number % len(wanted)]
        number += 1
        try:
            async with session.request(method, path, headers=headers, data=body or None) as response:
                async for _ in response.content.iter_any():
                    pass
                answers[response.status] += 1
                if response.status == 429:
                    await asyncio.sleep(0.01)  # shorter than the server's Retry-After
        except (ClientError, TimeoutError):
            answers[0] += 1


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
