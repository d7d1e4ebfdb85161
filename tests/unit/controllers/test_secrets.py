"""Check which secrets the controllers request, which changes they notice, and what they report
where they have no access."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.client import Client
from controllers.secrets import READER_ROLE, Secrets, is_clusters_own
from tests.unit.controllers.clusters import (
    CLASSES,
    NAMESPACES,
    SECRETS,
    WORKLOADS,
    TwoClusters,
    controllers,
    secret,
    workload,
)
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web


def asked_of(api: FakeApi) -> list[str]:
    """Return a list that collects the API's requests about secrets from now on, as "VERB
    namespace/name"."""
    asked: list[str] = []
    handle = api._dispatch

    async def recording(request: web.Request) -> web.StreamResponse:
        parts = request.path.split("/")
        if "secrets" in parts:
            name = parts[parts.index("secrets") + 1] if parts[-1] != "secrets" else ""
            selected = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
            verb = "WATCH" if request.query.get("watch") else request.method if name else "LIST"
            namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else "*"
            asked.append(f"{verb} {namespace}/{name or selected}")
        return await handle(request)

    api._dispatch = recording  # type: ignore[method-assign] # in place of the object's own
    return asked


async def test_only_secrets_that_are_named_are_asked_for_each_by_its_name(clusters: TwoClusters) -> None:
    for namespace in ("team-a", "team-b"):
        for name in ("boot", "other"):
            clusters.management.put(SECRETS, secret(name, namespace, userData="x"))
    asked = asked_of(clusters.management)
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.management.put(WORKLOADS, workload("waits", userData={"name": "other"}))
        await eventually(lambda: clusters.condition("waits", "Bound")["reason"])
        await eventually(lambda: "WATCH team-a/boot" in asked)
    assert set(asked) == {"GET system/hardware", "WATCH system/hardware", "GET team-a/boot", "WATCH team-a/boot"}


async def test_where_a_role_is_missing_the_workload_says_so_and_continues_once_it_is_there(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    refused = {"team-a"}

    def fail(verb: str, path: str) -> Failure | None:
        return Failure(403, "Forbidden", "canary-user") if any(f"/{name}/secrets" in path for name in refused) else None

    clusters.management.fail = fail
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SecretForbidden")
        message = clusters.condition("web", "Synchronized")["message"]
        assert READER_ROLE in message
        assert '"team-a"' in message
        assert "canary-user" not in message
        assert "image" not in clusters.host("h1")["spec"]
        refused.clear()
        await eventually(lambda: clusters.phase("web") == "Running")


async def test_a_class_says_that_its_credentials_may_not_be_read(clusters: TwoClusters) -> None:
    clusters.management.fail = lambda verb, path: Failure(403, "Forbidden") if "/system/secrets" in path else None

    def connected() -> dict[str, str]:
        conditions = (clusters.management.get(CLASSES, "metal").get("status") or {}).get("conditions") or []
        return next((item for item in conditions if item["type"] == "Connected"), {})

    async with controllers(clusters):
        await eventually(lambda: connected()["reason"] == "SecretForbidden")
        assert '"system"' in connected()["message"]
        clusters.management.fail = lambda verb, path: None
        await eventually(lambda: connected()["status"] == "True")


async def test_secrets_of_a_namespace_that_no_class_admits_any_more_are_left_alone(clusters: TwoClusters) -> None:
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
        await eventually(lambda: clusters.phase("web") == "Running")
    clusters.management.edit(CLASSES, "metal", {"spec": {"allowedNamespaces": {"names": ["team-b"]}}})
    asked = asked_of(clusters.management)
    async with controllers(clusters):
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "NamespaceNotAllowed")
        assert {line for line in asked if "team-a" in line} == set()
        assert clusters.phase("web") == "Running"
        assert clusters.host("h1")["spec"]["image"]["url"] == "http://images.example/os.qcow2", "what runs is kept"
        clusters.management.edit(CLASSES, "metal", {"spec": {"allowedNamespaces": {"selector": {"matchLabels": {"metal": "yes"}}}}})
        clusters.management.edit(NAMESPACES, "team-a", {"metadata": {"labels": {"metal": "yes"}}})
        await eventually(lambda: "WATCH team-a/boot" in asked)
        await eventually(lambda: clusters.condition("web", "Synchronized")["status"] == "True")
        await eventually(lambda: current(clusters.management.get(CLASSES, "metal")))


def current(class_: dict[str, Any]) -> bool:
    """Return whether the class's provider runs with the class as it is now."""
    return bool(class_["status"]["observedGeneration"] == class_["metadata"]["generation"])


async def test_a_secret_that_the_class_does_not_let_pass_is_not_sent_until_it_does(clusters: TwoClusters) -> None:
    clusters.management.edit(CLASSES, "metal", {"spec": {"secrets": {"requiredLabel": "first-boot=yes"}}})
    clusters.management.put(SECRETS, secret("boot", "team-a", userData="x"))
    clusters.management.put(SECRETS, secret("more", "team-a", metaData="a: b"))
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web", userData={"name": "boot"}, metaData={"name": "more"}))
        await eventually(lambda: clusters.condition("web", "Synchronized")["reason"] == "SecretNotAllowed")
        assert '"first-boot=yes"' in clusters.condition("web", "Synchronized")["message"]
        clusters.management.edit(SECRETS, "boot", {"metadata": {"labels": {"first-boot": "yes"}}}, "team-a")
        await eventually(lambda: '"more" (spec.metaData)' in clusters.condition("web", "Synchronized")["message"])
        assert "image" not in clusters.host("h1")["spec"]
        clusters.management.edit(CLASSES, "metal", {"spec": {"secrets": {"allowedTypes": ["Opaque"]}}})
        await eventually(lambda: clusters.phase("web") == "Running")
        clusters.management.edit(CLASSES, "metal", {"spec": {"secrets": {"allowedTypes": []}}})
        await eventually(lambda: current(clusters.management.get(CLASSES, "metal")))
        assert clusters.phase("web") == "Running", "what was sent stays"


@asynccontextmanager
async def following(
    api: FakeApi, named: set[str], owners: set[str] | None = None, **bounds: Any
) -> AsyncIterator[tuple[Secrets, list[str]]]:
    """Yield Secrets of which Workloads name those in `named`, and the keys that it has reported as
    changed."""
    shown: list[str] = []
    async with Client(api.kubeconfig) as client:
        secrets = Secrets(client, tenants_name=named.__contains__, class_names=(owners or set()).__contains__, **bounds)
        secrets.add_handler(shown.append)
        task = asyncio.ensure_future(secrets.run())
        await asyncio.sleep(0)
        try:
            yield secrets, shown
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().serving() as made:
        yield made


async def test_changes_are_reported_and_so_is_an_unwatched_deletion(api: FakeApi) -> None:
    api.put(SECRETS, secret("s", "a", x="1"))
    async with following(api, {"a/s"}) as (secrets, shown):
        secrets.reconsider(["a/s"])
        await eventually(lambda: secrets.version("a/s"))
        first = secrets.version("a/s")
        api.put(SECRETS, secret("s", "a", x="2"))
        await eventually(lambda: secrets.version("a/s") not in ("", first))
        api.fail = lambda verb, path: Failure(503, "ServiceUnavailable")
        api.cut_watches()
        await eventually(lambda: "a/s" not in secrets._live)
        api.remove(SECRETS, "s", "a")
        api.fail = lambda verb, path: None
        await eventually(lambda: shown == ["a/s"] * 3)
        assert secrets.version("a/s") == ""


async def test_watches_are_bounded_in_all_and_for_each_namespace(api: FakeApi) -> None:
    named = {f"{namespace}/s{number}" for namespace in "abc" for number in range(4)}
    async with following(api, named, {"owner/credentials"}, most=5, most_of_namespace=2) as (secrets, _):
        secrets.reconsider(sorted(named))
        secrets.reconsider(["owner/credentials"])
        assert secrets.watched == {"a/s0", "a/s1", "b/s0", "b/s1", "c/s0", "owner/credentials"}
        await eventually(lambda: api.requests["WATCH secrets"] == 6)
        named.discard("a/s0")
        secrets.reconsider(["a/s0"])
        assert secrets.watched == {"a/s1", "a/s2", "b/s0", "b/s1", "c/s0", "owner/credentials"}
        assert secrets.version("a/s3") == ""
        named.clear()
        secrets.reconsider(sorted(secrets.watched | {f"{namespace}/s{number}" for namespace in "abc" for number in range(4)}))
        assert secrets.watched == {"owner/credentials"}


async def test_what_has_no_watch_is_believed_for_a_while_only(api: FakeApi) -> None:
    api.put(SECRETS, secret("s", "a", x="1"))
    for trust, believed in ((300.0, True), (0.0, False)):
        async with following(api, {"a/s"}, most=0, trust=trust) as (secrets, _):
            secrets.reconsider(["a/s"])
            await secrets.read("a/s")
            assert bool(secrets.version("a/s")) == believed


@pytest.mark.parametrize("name", ["s,metadata.namespace=kube-system", "../s", "", "a" * 254, "S"])
async def test_what_cannot_be_a_name_is_not_watched(api: FakeApi, name: str) -> None:
    async with following(api, {f"a/{name}"}) as (secrets, _):
        secrets.reconsider([f"a/{name}"])
        assert secrets.watched == frozenset()
    assert api.requests["WATCH secrets"] == 0


async def test_nothing_is_remembered_of_secrets_that_no_workload_names(api: FakeApi) -> None:
    api.put(SECRETS, secret("s", "a", x="1"))
    named = {"a/s"}
    async with following(api, named) as (secrets, _):
        secrets.reconsider(["a/s"])
        await eventually(lambda: secrets.version("a/s"))
        named.clear()
        secrets.reconsider(["a/s"])
        await secrets.read("a/s")
        assert (secrets._known, secrets._watched, secrets._live, secrets._shares, secrets._waiting) == ({}, {}, set(), {}, {})


@pytest.mark.parametrize(
    ("name", "type_", "labels", "refused"),
    [
        ("web-kubeconfig", "cluster.x-k8s.io/secret", {}, True),
        ("web-kubeconfig", "Opaque", {}, True),
        ("web-ca", "cluster.x-k8s.io/secret", {}, True),
        ("web-sa", "Opaque", {"cluster.x-k8s.io/cluster-name": "web"}, True),
        ("web-etcd", "cluster.x-k8s.io/secret", {}, True),
        ("web-md-0-x7k2p", "cluster.x-k8s.io/secret", {"cluster.x-k8s.io/cluster-name": "web"}, False),
        ("my-ca", "Opaque", {}, False),
        ("boot", "Opaque", {}, False),
        ("robot", "kubernetes.io/service-account-token", {}, True),
        ("join", "bootstrap.kubernetes.io/token", {}, True),
    ],
)
def test_a_clusters_own_secrets_are_recognized_by_name_and_type(name: str, type_: str, labels: dict[str, str], refused: bool) -> None:
    made = secret(name, "team-a") | {"type": type_}
    made["metadata"]["labels"] = labels
    assert is_clusters_own(made) is refused
