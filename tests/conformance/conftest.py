"""Provide one control plane and one of our servers for all selected cases, and write the report at
the end.

The cases run concurrently."""

from __future__ import annotations

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.cases import all_cases
from tests.conformance.compare import judge
from tests.conformance.report import render
from tests.conformance.run import WATCH_SECONDS, TooSlow, outcome
from tests.conformance.servers import kube_apiserver, prepare, servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hack.realcluster.controlplane import Cluster
    from tests.conformance.client import ApiServer
    from tests.conformance.compare import Verdict

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REPORT = ROOT / ".cache/conformance/report.txt"
SUITE_SECONDS = 600
ATTEMPTS = range(len(WATCH_SECONDS))
PARALLEL = 12
"""The number of concurrent cases. Most of the longer ones wait for the end of a watch."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow more time: the first case waits for the servers and for all the others."""
    for item in items:
        if HERE in item.path.parents and "verdicts" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(SUITE_SECONDS))


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that contains the audit logs after the cases were performed."""
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="session")
def verdicts(request: pytest.FixtureRequest, audited: Path) -> Mapping[str, Verdict]:
    """Return the verdicts of all selected cases, by name."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and _has_name(item)]
    wanted = list(dict.fromkeys(str(item.callspec.params["name"]) for item in items))
    tools = Path(subprocess.run([ROOT / "hack/tools/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    folder = audited
    with kube_apiserver(tools, folder / "cluster") as cluster:
        asyncio.run(_prepare(cluster, list(_namespaces(wanted))))
        with servers(cluster, folder) as (oracle, ours):
            found = judge_all(wanted, oracle, ours)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(render(list(found.values())))
    return found


def judge_all(names: Sequence[str], oracle: ApiServer, ours: ApiServer) -> dict[str, Verdict]:
    """Perform the cases on both servers."""
    cases = all_cases()

    def one(item: tuple[int, str]) -> Verdict:
        number, name = item
        for attempt in ATTEMPTS:
            try:
                found = [outcome(cases[name], _namespace(number, attempt), server, WATCH_SECONDS[attempt]) for server in (oracle, ours)]
            except TooSlow:
                continue
            return judge(name, cases[name], *found)
        raise TimeoutError(f"the steps of {name} take more than half of {WATCH_SECONDS[-1]} s")

    with ThreadPoolExecutor(PARALLEL) as pool:
        return dict(zip(names, pool.map(one, enumerate(names)), strict=True))


def _namespace(number: int, attempt: int) -> str:
    """Return a namespace for each attempt at a case, so that no objects of an earlier attempt
    remain."""
    return f"c{number}-{attempt}"


def _namespaces(names: Sequence[str]) -> Iterator[str]:
    """Yield the namespaces of cases. Only cases with a watch may need another attempt."""
    cases = all_cases()
    for number, name in enumerate(names):
        watches = any(step.watch for step in cases[name].steps)
        yield from (_namespace(number, attempt) for attempt in (ATTEMPTS if watches else ATTEMPTS[:1]))


async def _prepare(cluster: Cluster, namespaces: Sequence[str]) -> None:
    async with cluster.client() as client:
        await prepare(client, namespaces)


def _has_name(item: pytest.Function) -> bool:
    return "verdicts" in item.fixturenames and hasattr(item, "callspec") and "name" in item.callspec.params
