"""Check how the management cluster's policies and parameters are followed, against a cluster in
memory."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.policies.definitions import VALIDATING
from apiserver.admission.policies.params import NoParams
from apiserver.cel.library.authorizer import Question
from apiserver.client.errors import ApiException
from apiserver.registry.generic.context import UserInfo
from apiserver.server.delegation.policies import FollowedPolicies, ManagementParams, spec
from tests.unit.apiserver.admission.policies.given import binding, policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from apiserver.client.objects import Resource

SECONDS = 10
PLURAL = "validatingadmissionpolicies"
CONFIG_MAP = {"metadata": {"name": "c", "namespace": "n", "uid": "1", "resourceVersion": "1"}}


class Cluster:
    """A client of a cluster with these objects by plural. `errors` are those of paths, `served` the
    resources of group versions."""

    def __init__(self, served: dict[str, list[dict[str, Any]]], **objects: list[dict[str, Any]]) -> None:
        self.served, self.objects, self.errors = served, objects, dict[str, ApiException]()
        self.opened: list[str] = []
        self.gone = asyncio.Event()

    async def request(self, method: str, path: str) -> dict[str, Any]:
        """Answer discovery."""
        if path in self.errors:
            raise self.errors[path]
        if path not in self.served:
            raise ApiException(404, "NotFound", "no such group")
        return {"resources": self.served[path]}

    async def list_all(self, resource: Resource, namespace: str, **options: Any) -> tuple[list[dict[str, Any]], str]:
        """List objects."""
        self.opened.append(resource.plural)
        if resource.plural in self.errors:
            raise self.errors[resource.plural]
        return self.objects.get(resource.plural, []), "1"

    async def watch(self, resource: Resource, namespace: str, **options: Any) -> AsyncIterator[dict[str, Any]]:
        """Watch without events, until the resource is gone."""
        await self.gone.wait()
        raise ApiException(404, "NotFound", "the server could not find the requested resource")
        yield {}


def served(*names: str, kind: str = "", namespaced: bool = True) -> list[dict[str, Any]]:
    """Return resources of a group version."""
    return [{"name": name, "kind": kind, "namespaced": namespaced} for name in names]


def numbered(obj: dict[str, Any]) -> dict[str, Any]:
    """Return an object as a cluster has it."""
    return {**obj, "metadata": {**obj["metadata"], "uid": obj["metadata"]["name"], "resourceVersion": "1"}}


GROUP = "/apis/admissionregistration.k8s.io/v1"


async def known(followed: FollowedPolicies) -> None:
    """Wait until the policies are known."""
    async with asyncio.timeout(SECONDS):
        while not followed.policies.known:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)


async def test_policies_are_known_once_both_lists_are_there() -> None:
    bindings = f"{PLURAL.removesuffix('ies')}ybindings"
    objects = {PLURAL: [numbered(policy("true"))], bindings: [numbered(binding())]}
    followed = FollowedPolicies(Cluster({GROUP: served(PLURAL)}, **objects), VALIDATING, PLURAL, ("v1",))  # type: ignore[arg-type] # Cluster has what is used of the client
    with pytest.raises(RuntimeError, match="were not listed yet"):
        await followed.ready()
    task = asyncio.create_task(followed.run())
    await known(followed)
    await followed.ready()
    task.cancel()
    assert [(hook.policy.name, len(hook.bindings)) for hook in followed.policies.hooks] == [("p", 1)]


async def test_a_version_that_is_no_longer_served_is_reported_and_its_last_policies_stay() -> None:
    bindings = f"{PLURAL.removesuffix('ies')}ybindings"
    cluster = Cluster({GROUP: served(PLURAL)}, **{PLURAL: [numbered(policy("true"))], bindings: [numbered(binding())]})
    followed = FollowedPolicies(cluster, VALIDATING, PLURAL, ("v1",))  # type: ignore[arg-type] # Cluster has what is used of the client
    assert followed.report() == "", "the check of readiness says what is not listed yet"
    task = asyncio.create_task(followed.run())
    await known(followed)
    assert followed.report() == ""
    cluster.gone.set()
    async with asyncio.timeout(SECONDS):
        while not followed.report():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    task.cancel()
    assert "the last known ones stay enforced: 404 NotFound" in followed.report()
    await followed.ready()
    assert len(followed.policies.hooks) == 1


async def test_a_cluster_without_policies_has_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    followed = FollowedPolicies(Cluster({}), VALIDATING, PLURAL, ("v1", "v1beta1"))  # type: ignore[arg-type] # Cluster has what is used of the client
    task = asyncio.create_task(followed.run())
    await known(followed)
    task.cancel()
    assert followed.policies.hooks == ()
    assert caplog.text.count("serves no validatingadmissionpolicies") == 1


async def test_nothing_is_known_of_a_cluster_that_does_not_answer() -> None:
    cluster = Cluster({})
    cluster.errors[GROUP] = ApiException(403, "Forbidden", "not you")
    followed = FollowedPolicies(cluster, VALIDATING, PLURAL, ("v1",))  # type: ignore[arg-type] # Cluster has what is used of the client
    task = asyncio.create_task(followed.run())
    async with asyncio.timeout(SECONDS):
        while followed.last_error is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="not you"):
        await followed.ready()
    task.cancel()


async def test_parameters_are_followed_while_they_are_used() -> None:
    used = {("v1", "ConfigMap")}
    cluster = Cluster({"/api/v1": [*served("configmaps", kind="ConfigMap"), *served("nodes", kind="Node", namespaced=False)]})
    cluster.objects["configmaps"] = [CONFIG_MAP]
    params = ManagementParams(cluster, lambda: frozenset(used))  # type: ignore[arg-type] # Cluster has what is used of the client
    for _ in range(2):
        source = await params.source("v1", "ConfigMap")
        assert (source.namespaced, source.within("n"), source.within("m")) == (True, [CONFIG_MAP], [])
    used.clear()
    assert (await params.source("v1", "Node")).namespaced is False
    assert cluster.opened == ["configmaps", "nodes"]
    assert [kind for _, kind in params._kinds] == ["Node"]
    await params.close()


async def test_parameters_that_cannot_be_read() -> None:
    cluster = Cluster({"/api/v1": served("configmaps", kind="ConfigMap")})
    cluster.errors["configmaps"] = ApiException(403, "Forbidden", "not you")
    params = ManagementParams(cluster, frozenset)  # type: ignore[arg-type] # Cluster has what is used of the client
    with pytest.raises(NoParams, match=r"not yet synced to use for admission: .*not you"):
        await params.source("v1", "ConfigMap")
    for api_version in ("v1", "g/v1"):
        with pytest.raises(NoParams, match="not known"):
            await params.source(api_version, "Thing")
    await params.close()


def test_questions_are_those_of_the_user_or_of_a_service_account() -> None:
    alice = UserInfo("alice", groups=("devs",), extra={"a": ("b",)})
    asked = spec(alice, Question(("", ""), "get", group="g", resource="r", label_selector="x=y"))
    attributes = {"verb": "get", "group": "g", "resource": "r", "version": "*", "labelSelector": {"rawSelector": "x=y"}}
    assert asked == {"user": "alice", "groups": ["devs"], "extra": {"a": ["b"]}, "resourceAttributes": attributes}
    asked = spec(alice, Question(("n", "s"), "get", path="/x"))
    groups = ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"]
    assert asked == {"user": "system:serviceaccount:n:s", "groups": groups, "nonResourceAttributes": {"path": "/x", "verb": "get"}}
