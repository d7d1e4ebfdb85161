"""Cover NamespaceLifecycle, and the chain that contains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.namespacelifecycle import IMMORTAL, NamespaceLifecycle
from apiserver.apis.base import Model
from apiserver.apis.status import ApiError
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.resource import Resource

if TYPE_CHECKING:
    from apiserver.registry.generic.strategy import Admission

THINGS = Resource("g", "v1", "Thing", "things", Model)
CLUSTER_THINGS = Resource("g", "v1", "ClusterThing", "clusterthings", Model, namespaced=False)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", Model, namespaced=False)
CONTEXT = Context(UserInfo("u"))


class Source:
    """Return namespaces by name, and remember whether each call wanted a live read or a copy."""

    def __init__(self, **found: dict[str, Any]) -> None:
        self.found, self.live = found, list[bool]()

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        self.live.append(live)
        return self.found.get(name)


SOURCE = {
    "active": {"status": {"phase": "Active"}},
    "fresh": {"metadata": {"name": "fresh"}},
    "phase": {"status": {"phase": "Terminating"}},
    "stamped": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Active"}},
}


async def admit(plugin: Admission, operation: str, resource: Resource, namespace: str, name: str = "x") -> Any:
    new = None if operation == "DELETE" else {"metadata": {"name": name}}
    return await plugin.admit(Attributes(operation, CONTEXT, resource, namespace, name, new, None))


@pytest.mark.parametrize("namespace", ["active", "fresh"])
async def test_creation_where_a_namespace_is(namespace: str) -> None:
    assert await admit(NamespaceLifecycle(Source(**SOURCE)), "CREATE", THINGS, namespace) == {"metadata": {"name": "x"}}


@pytest.mark.parametrize("namespace", ["phase", "stamped"])
async def test_no_creation_where_it_goes_away(namespace: str) -> None:
    with pytest.raises(ApiError) as caught:
        await admit(NamespaceLifecycle(Source(**SOURCE)), "CREATE", THINGS, namespace)
    error = caught.value
    assert (error.code, error.reason) == (403, "Forbidden")
    assert (
        error.message == f'things.g "x" is forbidden: unable to create new content in namespace {namespace} because it is being terminated'
    )
    assert error.details["causes"] == [
        {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated", "field": "metadata.namespace"}
    ]


async def test_no_creation_where_it_is_missing() -> None:
    with pytest.raises(ApiError) as caught:
        await admit(NamespaceLifecycle(Source()), "CREATE", THINGS, "gone")
    assert (caught.value.code, caught.value.message) == (404, 'namespaces "gone" not found')


async def test_what_exists_may_be_updated_and_leave() -> None:
    source = Source(**SOURCE)
    plugin = NamespaceLifecycle(source)
    for operation in ("UPDATE", "DELETE"):
        for namespace in ("phase", "missing"):
            await admit(plugin, operation, THINGS, namespace)
    await admit(plugin, "CREATE", CLUSTER_THINGS, "")
    assert source.live == []


async def test_some_namespaces_are_immortal() -> None:
    plugin = NamespaceLifecycle(Source())
    for name in IMMORTAL:
        with pytest.raises(ApiError, match=f'namespaces "{name}" is forbidden: this namespace may not be deleted'):
            await admit(plugin, "DELETE", NAMESPACES, "", name)
    await admit(plugin, "DELETE", NAMESPACES, "", "mortal")


async def test_after_a_deletion_copies_are_not_trusted_for_a_while() -> None:
    now, source = [0.0], Source(**SOURCE)
    plugin = NamespaceLifecycle(source, clock=lambda: now[0])
    await admit(plugin, "CREATE", THINGS, "active")
    await admit(plugin, "DELETE", NAMESPACES, "", "active")
    for moment in (1.0, 29.0, 31.0):
        now[0] = moment
        await admit(plugin, "CREATE", THINGS, "active")
    assert source.live == [False, True, True, False]


async def test_each_plugin_sees_what_the_one_before_made() -> None:
    class Adds:
        def __init__(self, letter: str) -> None:
            self.letter = letter

        async def admit(self, attributes: Attributes) -> Any:
            new = attributes.new or {}
            return {**new, "seen": new.get("seen", "") + self.letter}

    chain = AdmissionChain([Adds("a"), Adds("b"), Adds("c")])
    assert (await admit(chain, "CREATE", THINGS, "n"))["seen"] == "abc"
    assert await admit(AdmissionChain([]), "DELETE", THINGS, "n") is None
