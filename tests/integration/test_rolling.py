"""Restart both replicas one by one under load, as overlays/ha does it behind a real kube-apiserver.

No request fails, no watch loses an event or lists again, and namespaces are deleted throughout.
Nearly all of the time is spent in waiting until kube-apiserver closes its unused connections."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import ssl
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from tests.integration import running
from tests.integration.balancer import balanced
from tests.integration.objects import workload
from tests.integration.replicas import is_ready, start_replica
from tests.integration.running import ADMIN, ROOT, Running, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.integration.balancer import Balancer
    from tests.integration.replicas import Replica

API = "/apis/workload.metal3.io/v1alpha1"
PATH = f"{API}/namespaces/a/workloads"
SERVICES = ("v1alpha1.workload.metal3.io", "v1alpha1.metal3.io")
WRITERS, WATCHERS = 3, 3
LAST = "the-last-one"
PROPAGATION_SECONDS = 1.0
"""How long a replica gets new connections after its SIGTERM: kube-proxy learns of it later than the
kubelet."""
READS = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [list, watch]
- level: None
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start overlays/ha with one replica, which the test replaces by its own."""
    folder = tmp_path_factory.mktemp("cluster") / "rolling"
    options = ("--storage", "etcd", "--hosts", "0", "--bmo", "none", "--controllers", "off", "--tenants", "a", "--fsync", "off")
    try:
        yield running.start(folder, "--overlay", "overlays/ha", *options)
    finally:
        running.stop(folder)


class Load:
    """Run clients of kube-apiserver. `failures` collects what is refused or breaks."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.failures: list[str] = []
        self.written: list[int] = []
        self.reported: list[list[int]] = [[] for _ in range(WATCHERS)]
        self.watches = self.namespaces = 0
        self.stopping = asyncio.Event()

    async def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Send one request that has to succeed, and return its answer, or None."""
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(method, path, data=data, headers={"Content-Type": kind}) as response:
                if response.status < 300:
                    return await response.json()
                self.failures.append(f"{method} {path}: {response.status} {await response.text()}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(f"{method} {path}: {error!r}")
        return None

    async def write(self, name: str) -> None:
        """Create, replace, patch, read and delete Workloads, again and again, each time after the
        previous answer."""
        for number in itertools.count():
            if self.stopping.is_set():
                return
            await self._write(f"{name}-{number}")
            await asyncio.sleep(0.1)

    async def _write(self, name: str) -> None:
        one = f"{PATH}/{name}"
        made = await self.ask("POST", PATH, workload(name))
        self._note(made)
        replaced = await self.ask("PUT", one, {**(made or {}), "metadata": {**(made or workload(name))["metadata"], "labels": {"n": "1"}}})
        self._note(replaced)
        self._note(await self.ask("PATCH", one, {"metadata": {"labels": {"n": "2"}}}, "application/merge-patch+json"))
        await self.ask("GET", one)
        await self.ask("GET", f"{PATH}?limit=5")
        await self.ask("DELETE", one)

    def _note(self, answer: Any) -> None:
        if answer is not None:
            self.written.append(int(answer["metadata"]["resourceVersion"]))

    async def watch(self, reported: list[int], version: str) -> None:
        """Watch from a version on until LAST comes, and after each end continue from the last
        version that was seen."""
        while True:
            self.watches += 1
            url = f"{PATH}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}"
            try:
                async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=1 << 22) as response:
                    if response.status != 200:
                        self.failures.append(f"watch: {response.status} {await response.text()}")
                        return
                    async for event in _events(response):
                        if event["type"] == "ERROR":
                            self.failures.append(f"watch: {event['object']}")
                            return
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            reported.append(int(version))
                        if event["object"]["metadata"].get("name") == LAST:
                            return
            except aiohttp.ClientError as error:
                self.failures.append(f"watch broken: {error!r}")

    async def delete_namespaces(self) -> None:
        """Create a namespace and delete it, again and again; for that kube-controller-manager has
        to list our kinds."""
        for number in itertools.count():
            if self.stopping.is_set():
                return
            name = f"short-lived-{number}"
            await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            await self.ask("DELETE", f"/api/v1/namespaces/{name}")
            async with asyncio.timeout(60):
                while await self._is_there(name):  # noqa: ASYNC110 - polls the server
                    await asyncio.sleep(0.1)
            self.namespaces += 1

    async def _is_there(self, name: str) -> bool:
        async with self._session.get(f"/api/v1/namespaces/{name}") as response:
            found = await response.json()
        conditions = (found.get("status") or {}).get("conditions") or [] if response.status == 200 else []
        self.failures += [
            f"namespace: {condition['message']}"
            for condition in conditions
            if condition["status"] == "True"
            and condition["type"] in ("NamespaceDeletionDiscoveryFailure", "NamespaceDeletionContentFailure")
        ]
        return response.status == 200


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        yield json.loads(line)


class Deployment:
    """Replace replicas one by one: a new one is ready before an old one is stopped."""

    def __init__(self, cluster: Running, folder: Path, balancer: Balancer, stack: ExitStack) -> None:
        self._cluster, self._folder, self._balancer, self._stack = cluster, folder, balancer, stack
        self._numbers = itertools.count()
        pod = pod_of(cluster)
        self._flags = [flag for flag in pod["containers"][0]["args"] if flag.startswith("--shutdown-")]
        self._grace_seconds = pod["terminationGracePeriodSeconds"]
        self.replicas: list[Replica] = []
        self.policy = folder / "reads.yaml"
        self.policy.write_text(READS)

    async def surge(self) -> None:
        """Add a replica, and send it connections once it is ready."""
        folder = self._folder / f"replica-{next(self._numbers)}"
        replica = await asyncio.to_thread(start_replica, self._cluster, folder, *self._flags, audit_policy_file=str(self.policy))
        self._stack.callback(replica.kill)
        await asyncio.to_thread(eventually, lambda: is_ready(replica.server))
        self.replicas.append(replica)
        self._balancer.ready.append(replica.port)

    async def retire(self) -> int:
        """Stop the oldest replica, and return its exit status. It still gets connections for a
        while after SIGTERM."""
        oldest = self.replicas.pop(0)
        ending = asyncio.create_task(asyncio.to_thread(oldest.stop, self._grace_seconds))
        await asyncio.sleep(PROPAGATION_SECONDS)
        self._balancer.ready.remove(oldest.port)
        return await ending

    def lists_by(self, agent: str) -> list[str]:
        """Return what a client has listed at replicas that were started for the restart."""
        logs = [self._folder / f"replica-{number}" / "audit.jsonl" for number in range(2, next(self._numbers))]
        events = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
        verbs = [(event["verb"], event["requestURI"]) for event in events if agent in event["userAgent"]]
        assert "watch" in {verb for verb, _ in verbs}, f"{agent} has no watch at the new replicas"
        return [path for verb, path in verbs if verb == "list"]


async def test_a_rolling_restart_refuses_nothing(cluster: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = ssl.create_default_context(cadata=cluster._cluster_ca())
    context.load_cert_chain(*cluster.admin_identity())
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    with ExitStack() as stack:
        async with (
            balanced() as balancer,
            aiohttp.ClientSession(cluster.description["management"]["server"], connector=connector) as session,
        ):
            deployment = Deployment(cluster, tmp_path, balancer, stack)
            await asyncio.gather(deployment.surge(), deployment.surge())
            await asyncio.to_thread(point_at, cluster, balancer.port)
            # The watches of our kinds in kube-controller-manager have to move to the replicas.
            os.kill(cluster.description["apiserver"]["pids"][0], signal.SIGTERM)
            load = Load(session)
            await under(load, deployment)
    with capsys.disabled():
        print(
            f"\nrolling restart: {len(load.written)} writes and {load.namespaces} namespaces, {len(load.failures)} failures; "
            f"{WATCHERS} watches were opened {load.watches} times and received {len(load.reported[0])} events each"
        )
    assert load.failures == []
    assert all(reported == sorted(set(reported)) and set(load.written) <= set(reported) for reported in load.reported)
    assert load.reported[0] == load.reported[1] == load.reported[2]
    assert load.watches > WATCHERS, "each lost a replica"
    assert load.namespaces > 0
    assert deployment.lists_by("metadata-informers") == []


async def under(load: Load, deployment: Deployment) -> None:
    """Restart both replicas while the clients are at work."""
    version = (await load.ask("GET", PATH))["metadata"]["resourceVersion"]
    async with asyncio.timeout(420), asyncio.TaskGroup() as group:
        for reported in load.reported:
            group.create_task(load.watch(reported, version))
        busy = [group.create_task(load.write(f"w-{number}")) for number in range(WRITERS)]
        busy.append(group.create_task(load.delete_namespaces()))
        # As in a Deployment, the next replica starts while the previous one is still ending.
        ending = []
        for _ in range(2):
            await deployment.surge()
            ending.append(group.create_task(deployment.retire()))
        assert await asyncio.gather(*ending) == [0, 0], "both ended by themselves, in the grace period"
        load.stopping.set()
        await asyncio.wait(busy)
        assert await load.ask("POST", PATH, workload(LAST)) is not None


def pod_of(cluster: Running) -> dict[str, Any]:
    """Return the API server's pod in overlays/ha."""
    command = [str(cluster.tools / "kubectl"), "kustomize", str(ROOT / "manifests/overlays/ha")]
    made = yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    name = "metal3-workloads-apiserver"
    (found,) = (obj for obj in made if (obj["kind"], obj["metadata"]["name"]) == ("Deployment", name))
    pod: dict[str, Any] = found["spec"]["template"]["spec"]
    return pod


def point_at(cluster: Running, port: int) -> None:
    """Let kube-apiserver reach the API server at this port, as it would through a Service."""
    for name in SERVICES:
        patch = {"spec": {"service": {"port": port}}}
        cluster.kubectl(ADMIN, "patch", "apiservice", name, "--type=merge", "-p", json.dumps(patch))
    for name in SERVICES:
        cluster.kubectl(ADMIN, "wait", "apiservice", name, "--for=condition=Available", "--timeout=60s")
