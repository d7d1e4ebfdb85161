"""Run three `metal3-workloads serve` over one etcd, with the management cluster's identities and
permissions, as in production. tests/faults/test_replicas.py covers more clients and many kills."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import running
from tests.integration.objects import workload
from tests.integration.replicas import Replica, is_ready, start_replica
from tests.integration.running import ADMIN, Running, eventually
from tests.integration.webhooks import applied

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/apis/workload.metal3.io/v1alpha1/namespaces/a/workloads"
ROUNDS = 30


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Start the same cluster three times, each with a server of its own to ask directly. The last
    one is the cluster's own process."""
    folder = tmp_path_factory.mktemp("cluster") / "replicas"
    more: list[Replica] = []
    try:
        cluster = running.start(
            folder, "--storage", "etcd", "--hosts", "0", "--bmo", "none", "--controllers", "off", "--tenants", "a", "--fsync", "off"
        )
        for number in range(2):
            more.append(start_replica(cluster, folder / f"replica-{number}"))
        eventually(lambda: all(is_ready(replica.server) for replica in more))
        yield [*(replica.server for replica in more), cluster]
    finally:
        for replica in more:
            replica.kill()
        running.stop(folder)


def ask(server: Running, method: str, path: str, body: Any = None) -> Any:
    """Send a request as the tenant; it has to succeed."""
    answer = server.direct(path, identity=server.tenant_identity("a"), method=method, body=body)
    assert answer.code < 300, answer.body
    return answer.json()


def test_what_one_acknowledged_the_others_show_and_continue_from(servers: list[Running]) -> None:
    obj = ask(servers[0], "POST", PATH, workload("shared"))
    for number in range(ROUNDS):
        writer, *readers = servers[number % 3 :] + servers[: number % 3]
        obj["metadata"]["labels"] = {"number": str(number)}
        obj = ask(writer, "PUT", f"{PATH}/shared", obj)
        for reader in readers:
            assert ask(reader, "GET", f"{PATH}/shared") == obj
            items = ask(reader, "GET", PATH)["items"]
            assert [item["metadata"]["resourceVersion"] for item in items] == [obj["metadata"]["resourceVersion"]]
    ask(servers[1], "DELETE", f"{PATH}/shared")
    assert [ask(server, "GET", PATH)["items"] for server in servers] == [[], [], []]


def test_a_watch_continues_at_another_server_when_its_own_is_killed(servers: list[Running]) -> None:
    *others, killed = servers
    revision = ask(killed, "GET", PATH)["metadata"]["resourceVersion"]
    with watching(killed, revision) as events:
        reported = []
        for number in range(3):
            ask(others[0], "POST", PATH, workload(f"before-{number}"))
            reported.append(next(events))
        running.restart(killed, "apiserver", "--kill")
        with pytest.raises((OSError, HTTPException, StopIteration)):
            next(events)
    ask(others[1], "POST", PATH, workload("between"))
    ask(others[1], "DELETE", f"{PATH}/before-0")
    eventually(lambda: is_ready(killed))
    for server in (others[0], killed):  # also the one that was down meanwhile
        with watching(server, reported[-1]["object"]["metadata"]["resourceVersion"]) as events:
            rest = [next(events), next(events)]
        assert [(event["type"], event["object"]["metadata"]["name"]) for event in reported + rest] == [
            *(("ADDED", f"before-{number}") for number in range(3)),
            ("ADDED", "between"),
            ("DELETED", "before-0"),
        ]


def test_a_quota_of_machines_is_one_for_all_servers(servers: list[Running]) -> None:
    name = "metal.workloadclass.workload.metal3.io/hosts"
    metadata = {"name": "machines", "namespace": "a"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {name: "5"}}}
    cluster = servers[-1]

    def used() -> str | None:
        found: str | None = cluster.get(ADMIN, "resourcequota", "machines", "-n", "a").get("status", {}).get("used", {}).get(name)
        return found

    def create(number: int) -> int:
        server, obj = servers[number % 3], workload(f"many-{number}", className="metal", image=None)
        return server.direct(PATH, identity=server.tenant_identity("a"), method="POST", body=obj).code

    before = {item["metadata"]["name"] for item in ask(cluster, "GET", PATH)["items"]}
    for found in before:
        ask(cluster, "DELETE", f"{PATH}/{found}")
    with applied(cluster, ADMIN, quota):
        eventually(lambda: used() == "0")
        with ThreadPoolExecutor(30) as pool:
            codes = Counter(pool.map(create, range(30)))
        assert codes == {201: 5, 403: 25}
        assert len(ask(servers[0], "GET", PATH)["items"]) == 5
        eventually(lambda: used() == "5")
        for item in ask(servers[0], "GET", PATH)["items"]:
            ask(servers[1], "DELETE", f"{PATH}/{item['metadata']['name']}")
        eventually(lambda: used() == "0")


@contextmanager
def watching(server: Running, revision: str) -> Iterator[Iterator[Any]]:
    """Yield the events of a watch."""
    context = ssl.create_default_context(cafile=server.description["apiserver"]["ca"])
    context.load_cert_chain(*server.tenant_identity("a"))
    url = f"{server.description['apiserver']['url']}{PATH}?watch=true&resourceVersion={revision}"
    with urllib.request.urlopen(url, context=context, timeout=30) as answer:
        yield (json.loads(line) for line in answer)
