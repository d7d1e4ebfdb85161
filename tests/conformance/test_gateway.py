"""Run cases through gateways, beside the same requests to kube-apiserver itself.

What is passed on has to be the same in every respect. What the gateway serves itself may differ as
the server's own port may.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from tests.conformance.cases import all_cases
from tests.conformance.client import ApiServer
from tests.conformance.compare import judge
from tests.conformance.conftest import ATTEMPTS, PARALLEL, ROOT
from tests.conformance.gateway import administrator, gateway
from tests.conformance.run import WATCH_SECONDS, TooSlow, outcome
from tests.conformance.servers import kube_apiserver, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hack.realcluster.controlplane import Cluster
    from tests.conformance.compare import Verdict

AREAS = {
    **dict.fromkeys(("discovery", "errors", "openapi"), 1),
    **dict.fromkeys(("apply", "create", "deletion", "listing", "patch", "status", "update"), 4),
    "watching": 8,
}
"""The areas of cases, each with a number N: about one of N cases is performed."""
pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_OWN = "the gateway answers health checks itself"
_REFUSED = "a target that two readers could read differently is refused"
_MERGED = "a merged document is negotiated as this server's own, has its ETag, and no protobuf"
PASSED = {
    "discovery/healthz-by-another-method: 1.*": _OWN,
    "discovery/unknown-check: 1.*": _OWN,
    "discovery/version-as-protobuf-or-JSON: 1.body": "the order of kinds is that in which they were created",
    "discovery/groups: 1.*": _MERGED,
    "discovery/aggregated-*: 1.*": _MERGED,
    "openapi/v2: 1.vary*": _MERGED,
    "openapi/index*: 1*": _MERGED,
    "create/generateName-that-is-bad: 1.body.details.name": "it is generated",
    "errors/double-slash: 1.*": _REFUSED,
    "errors/encoded-slash: 1.status": _REFUSED,
    "errors/old-watch-path: 1.status": "the old way to watch is refused",
    "errors/method-unheard-of: 1.status": "the HTTP server does not read it",
}
"""The allowed differences where the gateway passes requests on, with the reasons."""
SERVED = {
    "errors/forbidden-*: 1.body.message": "the message says which rules decide",
    "discovery/aggregated-as-YAML: 1.indented": _MERGED,
}
"""The allowed differences where the gateway answers itself, besides those of the server's own
port."""


def cases() -> list[str]:
    """Return the names of the cases. New cases do not change the choice among the others."""
    return [name for name in all_cases() if (every := AREAS.get(name.partition("/")[0])) and crc32(name.encode()) % every == 0]


def namespaces() -> Iterator[str]:
    """Yield the namespaces of the cases. Only those with a watch may need another attempt."""
    known = all_cases()
    for number, name in enumerate(cases()):
        watches = any(step.watch for step in known[name].steps)
        yield from (f"g{number}-{attempt}" for attempt in (ATTEMPTS if watches else ATTEMPTS[:1]))


def problems(found: Iterable[Verdict], allowed: Mapping[str, str]) -> list[str]:
    """Return the differences without a reason, and the reasons without a difference."""
    seen = [(f"{verdict.case}: {wrong.path}", f"{verdict.case}: {wrong}") for verdict in found for wrong in verdict.wrong]
    wrong = [text for place, text in seen if not any(fnmatchcase(place, pattern) for pattern in allowed)]
    performed = {pattern for pattern in allowed for name in cases() if fnmatchcase(name, pattern.partition(": ")[0])}
    stale = [pattern for pattern in performed if not any(fnmatchcase(place, pattern) for place, _ in seen)]
    return [*wrong, *(f"allowed, but not different any more: {pattern}" for pattern in stale)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, ApiServer, ApiServer]]:
    """Yield a kube-apiserver, a gateway that passes everything to another one, and a gateway that
    serves the kinds itself."""
    folder = tmp_path_factory.mktemp("gateway")
    tools = subprocess.run([ROOT / "hack/tools/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with ExitStack() as running:
        bare, behind = (running.enter_context(kube_apiserver(folder.__class__(tools), folder / name)) for name in ("bare", "behind"))
        tokens = [asyncio.run(_prepared(cluster)) for cluster in (bare, behind)]
        ports = [int(bare.server.rpartition(":")[2])]
        ports.append(running.enter_context(gateway(behind, folder / "behind/oracle.kubeconfig", folder / "passes", tokens[1], views=False)))
        ports.append(running.enter_context(gateway(bare, folder / "bare/oracle.kubeconfig", folder / "serves", tokens[0], views=True)))
        yield tuple(  # type: ignore[misc]  # three
            ApiServer(name, port, _trusting(cluster), {"Authorization": f"Bearer {token}"})
            for name, port, cluster, token in zip(
                ("kube-apiserver", "passed", "view"), ports, (bare, behind, bare), (tokens[0], tokens[1], tokens[0]), strict=True
            )
        )


def _trusting(cluster: Cluster) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=cluster.authority.certificate.decode("ascii"))


async def _prepared(cluster: Cluster) -> str:
    async with cluster.client() as client:
        await prepare(client, list(namespaces()))
        return await administrator(client)


@pytest.fixture(scope="module")
def judged(servers: tuple[ApiServer, ApiServer, ApiServer]) -> dict[str, list[Verdict]]:
    """Return the verdicts on what is passed, by case, and on what is served."""
    known, (bare, passes, serves) = all_cases(), servers

    def one(item: tuple[int, str]) -> list[Verdict]:
        number, name = item
        for attempt in ATTEMPTS:
            try:
                first, *others = (
                    outcome(known[name], f"g{number}-{attempt}", one, WATCH_SECONDS[attempt]) for one in (bare, passes, serves)
                )
            except TooSlow:
                continue
            same = replace(known[name], allowed={})
            return [judge(name, case, first, other) for case, other in zip((same, known[name]), others, strict=True)]
        raise TimeoutError(f"the steps of {name} take too long")

    with ThreadPoolExecutor(PARALLEL) as pool:
        return dict(zip(cases(), pool.map(one, enumerate(cases())), strict=True))


def test_what_is_passed_on_is_kube_apiservers_answer(judged: dict[str, list[Verdict]]) -> None:
    found = problems((passed for passed, _ in judged.values()), PASSED)
    assert not found, "\n".join(found)


def test_what_the_gateway_serves_is_as_on_the_servers_own_port(judged: dict[str, list[Verdict]]) -> None:
    found = problems((served for _, served in judged.values()), SERVED)
    assert not found, "\n".join(found)
