"""Check that every stored object is valid, however it was written, and that every claimed host can
be released.

All ways to write are driven at random with good and bad values. After each step every stored object
is decoded with its model, and judged by its strategy as if it were created now.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from apiserver.apis.names import RELEASE_FINALIZER
from apiserver.apis.status import ApiError
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.context import DeleteOptions
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries, report

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from apiserver.registry.generic.entry import Entry
    from apiserver.registry.generic.registry import Registry

NAMES = ("node-0", "node-1")
NAMESPACES = ("tenant-a", "tenant-b")
TENANT, NAME = st.sampled_from(NAMESPACES), st.sampled_from(NAMES)

REFERENCES = st.sampled_from(
    [None, {}, {"name": ""}, {"name": "boot"}, {"name": "boot", "namespace": "tenant-b"}, {"namespace": "tenant-a"}]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "userData": REFERENCES,
    "metaData": REFERENCES,
    "networkData": REFERENCES,
    "image": st.sampled_from([None, {}, IMAGE, {**IMAGE, "format": ""}, {**IMAGE, "format": "tape"}, {**IMAGE, "url": 1}]),
    "customDeploy": st.sampled_from([None, {}, {"method": ""}, {"method": "install"}]),
    "online": st.sampled_from([None, True, False, "yes"]),
    "automatedCleaningMode": st.sampled_from([None, "metadata", "disabled", "of a later BMO", ""]),
    "consumerRef": st.sampled_from([None, {}, CONSUMER, {**CONSUMER, "name": "m-1"}, {"kind": 1}]),
    "className": st.sampled_from([None, "metal", "other", "No Name"]),
    "hostRef": st.sampled_from([None, {}, {"name": "node-0"}, {"name": "No Name"}]),
}
CHANGES = st.dictionaries(st.sampled_from(sorted(FIELDS)), st.none(), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({field: FIELDS[field] for field in chosen})
)
CLASS_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "provisioner": st.sampled_from([None, "", "metal3.io/baremetalhost", 1]),
    "parameters": st.sampled_from([None, {}, {"namespace": "metal3"}, []]),
    "credentialsSecretRef": st.sampled_from([None, {}, {"namespace": "system", "name": "s"}, {"namespace": "No Name", "name": "s"}]),
    "allowedNamespaces": st.sampled_from([None, {}, {"names": ["*"]}, {"nameMatches": "("}, {"selector": {"matchLabels": {"!": "x"}}}]),
    "images": st.sampled_from([None, {}, {"allow": []}, {"allow": ["https://images.example.com/"]}, {"allow": ["http://user@host/"]}]),
    "customDeploy": st.sampled_from([None, {"methods": ["install"]}, {"methods": ["No Name"]}]),
    "secrets": st.sampled_from([None, {"requiredLabel": "a=b"}, {"requiredLabel": "=b"}, {"allowedTypes": [""]}]),
    "cleaning": st.sampled_from([None, {"mode": "disabled", "tenantMayDisable": True}, {"mode": "thorough"}]),
    "offer": st.sampled_from([None, {"maxPerNamespace": 1}, {"maxPerNamespace": -1}]),
    "hostSelector": st.sampled_from([None, {"matchLabels": {"a": "b"}}, {"matchExpressions": [{"key": "a", "operator": "Near"}]}]),
}
CLASS_CHANGES = st.dictionaries(st.sampled_from(sorted(CLASS_FIELDS)), st.none(), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({field: CLASS_FIELDS[field] for field in chosen})
)
CLASS = st.sampled_from(("metal", "other"))
SOURCE = {"namespace": "metal3", "name": "node-0", "uid": "uid-node-0"}
CLAIM = {"namespace": "tenant-a", "name": "node-0", "uid": "made-up"}
HOST_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "className": st.sampled_from([None, "metal", "other", "No Name", 1]),
        "source": st.sampled_from([None, {}, SOURCE, {**SOURCE, "uid": "another"}, {**SOURCE, "name": "No Name"}]),
        "claimRef": st.sampled_from([None, {}, CLAIM, {"name": 1}]),
        "view": st.sampled_from([None, {"name": "made-up"}, {"annotations": {"a": 1}}]),
        "offers": st.sampled_from([None, ["tenant-b"], "tenant-b", ["No Name"]]),
    },
)
OFFERS = st.sampled_from([[], ["tenant-a"], ["tenant-b", "tenant-a", "tenant-b"], ["No Name"], [""], [1], "tenant-a", None])
METADATA = st.sampled_from(
    [{}, {"labels": {"a": "b"}}, {"labels": {"no good!": "b"}}, {"labels": 1}, {"annotations": {"a": 1}}, {"finalizers": ["a/b"]}]
)
STATUSES = st.sampled_from(
    [
        {"phase": "Running"},
        {"phase": "Deprovisioning"},
        {"phase": "Dancing"},
        {"conditions": 1},
        {"poweredOn": "x"},
        {"host": {"name": 1}},
        {},
    ]
)
WORDS = st.sampled_from(["OK", "error", "of a later BMO", "x" * 129, "two\nlines"])


def merged(obj: dict[str, Any], spec: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the object with a merge patch applied."""
    kept = {k: v for k, v in {**(obj.get("spec") or {}), **spec}.items() if v is not None}
    return {**obj, "metadata": {**obj["metadata"], **metadata}, "spec": kept}


def applied(kind: str, metadata: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Return what a client applies."""
    group = "metal3.io" if kind == "BareMetalHost" else "workload.metal3.io"
    return {"apiVersion": f"{group}/v1alpha1", "kind": kind, "metadata": metadata, **parts}


def problems(registry: Registry, entry: Entry) -> list[str]:
    """Return what is wrong with a stored object."""
    obj = entry.object()
    try:
        registry.resource.model.decode(obj)
    except ValueError as error:
        return [f"{entry.key}: {error}"]
    return [f"{entry.key}: {cause}" for cause in registry.strategy.validate(None, obj)]


class StoredObjects(RuleBasedStateMachine):
    """Drive two hosts, two tenants, an owner and the controllers."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()

    def attempt(self, write: Awaitable[Any]) -> None:
        """Perform the write. A refusal must name a mistake of the client."""

        async def run() -> None:
            with suppress(ApiError):
                await write

        self.loop.run_until_complete(run())

    @initialize()
    def begin(self) -> None:
        self.loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        self.cache = WatchCache(SQLiteStore(Path(self.directory.name) / "db", synchronous="off"))
        self.registries = Registries(management_catalog(self.cache))
        await self.cache.start()
        for name in NAMES:
            await self.registries.add_host(name)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.cache.close())
        self.loop.close()
        self.directory.cleanup()

    @rule(namespace=TENANT, name=NAME, consumer=FIELDS["consumerRef"], spec=CHANGES, metadata=METADATA)
    def claim(self, namespace: str, name: str, consumer: Any, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        spec = {**spec, "consumerRef": consumer}
        self.attempt(self.registries.views.update(CONTEXT, namespace, name, lambda old: merged(old, spec, metadata)))

    @rule(namespace=TENANT, name=NAME, spec=CHANGES, metadata=METADATA)
    def change_view(self, namespace: str, name: str, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.attempt(self.registries.views.update(CONTEXT, namespace, name, lambda old: merged(old, spec, metadata)))

    @rule(namespace=TENANT, name=NAME, spec=CHANGES)
    def apply_view(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        obj = applied("BareMetalHost", {"name": name, "namespace": namespace}, spec=spec)
        self.attempt(self.registries.views.apply(CONTEXT, namespace, name, obj, force=True))

    @rule(namespace=TENANT, name=NAME)
    def delete_view(self, namespace: str, name: str) -> None:
        self.attempt(self.registries.views.delete(CONTEXT, namespace, name, DeleteOptions()))

    @rule(namespace=TENANT, name=NAME, spec=CHANGES, metadata=METADATA)
    def create(self, namespace: str, name: str, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        made = merged({"metadata": {"name": name}}, spec, metadata)
        self.attempt(self.registries.workloads.create(CONTEXT, namespace, made))

    @rule(namespace=TENANT, name=NAME, spec=CHANGES, metadata=METADATA)
    def change(self, namespace: str, name: str, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.attempt(self.registries.workloads.update(CONTEXT, namespace, name, lambda old: merged(old, spec, metadata)))

    @rule(namespace=TENANT, name=NAME, spec=CHANGES, metadata=METADATA, force=st.booleans())
    def apply(self, namespace: str, name: str, spec: dict[str, Any], metadata: dict[str, Any], force: bool) -> None:
        obj = applied("Workload", {"name": name, "namespace": namespace, **metadata}, spec=spec)
        self.attempt(self.registries.workloads.apply(CONTEXT, namespace, name, obj, force=force))

    @rule(namespace=TENANT, name=NAME, status=STATUSES)
    def apply_status(self, namespace: str, name: str, status: dict[str, Any]) -> None:
        obj = applied("Workload", {"name": name, "namespace": namespace}, status=status)
        self.attempt(self.registries.workloads.apply(CONTEXT, namespace, name, obj, force=True, subresource="status"))

    @rule(name=CLASS, spec=CLASS_CHANGES, metadata=METADATA)
    def create_class(self, name: str, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        made = merged({"metadata": {"name": name}, "spec": {"provisioner": "metal3.io/baremetalhost"}}, spec, metadata)
        self.attempt(self.registries.classes.create(CONTEXT, "", made))

    @rule(name=CLASS, spec=CLASS_CHANGES, metadata=METADATA)
    def change_class(self, name: str, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.attempt(self.registries.classes.update(CONTEXT, "", name, lambda old: merged(old, spec, metadata)))

    @rule(name=CLASS, spec=CLASS_CHANGES, metadata=METADATA)
    def apply_class(self, name: str, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        obj = applied("WorkloadClass", {"name": name, **metadata}, spec=spec)
        self.attempt(self.registries.classes.apply(CONTEXT, "", name, obj, force=True))

    @rule(
        name=CLASS, status=st.sampled_from([{}, {"hosts": {"total": "x"}}, {"hosts": {"free": 1}}, {"conditions": [{"type": "Connected"}]}])
    )
    def say_of_class(self, name: str, status: dict[str, Any]) -> None:
        self.attempt(self.registries.classes.update(CONTEXT, "", name, lambda old: {**old, "status": status}, subresource="status"))

    @rule(name=CLASS)
    def delete_class(self, name: str) -> None:
        self.attempt(self.registries.classes.delete(CONTEXT, "", name, DeleteOptions()))

    @rule(index=st.sampled_from((0, 1)), spec=HOST_CHANGES, metadata=METADATA)
    def change_host(self, index: int, spec: dict[str, Any], metadata: dict[str, Any]) -> None:
        host = list(self.registries.hosts.collection.range())[index].name
        self.attempt(self.registries.hosts.update(CONTEXT, "", host, lambda old: merged(old, spec, metadata)))

    @rule(index=st.sampled_from((0, 1)), spec=HOST_CHANGES)
    def apply_host(self, index: int, spec: dict[str, Any]) -> None:
        host = list(self.registries.hosts.collection.range())[index].name
        self.attempt(self.registries.hosts.apply(CONTEXT, "", host, applied("Host", {"name": host}, spec=spec), force=True))

    @rule(spec=HOST_CHANGES)
    def create_host(self, spec: dict[str, Any]) -> None:
        """Create a host of a name that is taken or, with a source of its own, one that is deleted
        again."""
        made = merged({"metadata": {"name": "a-third"}, "spec": {"className": "metal", "source": {**SOURCE, "uid": "third"}}}, spec, {})
        self.attempt(self.registries.hosts.create(CONTEXT, "", made))
        self.every_stored_object_is_valid()
        self.attempt(self.registries.hosts.delete(CONTEXT, "", "a-third", DeleteOptions()))

    @rule(index=st.sampled_from((0, 1)), namespaces=OFFERS)
    def offer(self, index: int, namespaces: Any) -> None:
        host = list(self.registries.hosts.collection.range())[index].name
        self.attempt(self.registries.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": namespaces}))

    @rule(namespace=TENANT, name=NAME, status=STATUSES)
    def say(self, namespace: str, name: str, status: dict[str, Any]) -> None:
        write = self.registries.workloads.update(CONTEXT, namespace, name, lambda old: {**old, "status": status}, subresource="status")
        self.attempt(write)

    @rule(namespace=TENANT, name=NAME)
    def delete(self, namespace: str, name: str) -> None:
        self.attempt(self.registries.workloads.delete(CONTEXT, namespace, name, DeleteOptions()))

    @rule(namespace=TENANT, name=NAME, index=st.sampled_from((0, 1)))
    def bind(self, namespace: str, name: str, index: int) -> None:
        hosts = list(self.registries.hosts.collection.range())
        self.attempt(self.registries.workloads.connect(CONTEXT, namespace, name, "binding", {"target": {"name": hosts[index].name}}))

    @rule(index=st.sampled_from((0, 1)), word=WORDS, available=st.booleans())
    def report(self, index: int, word: str, available: bool) -> None:
        host = list(self.registries.hosts.collection.range())[index]
        name = host.object()["spec"]["source"]["name"]
        made = report(name, operationalStatus=word, errorType=word)
        self.attempt(self.registries.report(host.name, {"available": available, "report": made}))

    @invariant()
    def every_stored_object_is_valid(self) -> None:
        found = [
            problem
            for registry in self.registries.catalog.registries
            for entry in registry.collection.range()
            for problem in problems(registry, entry)
        ]
        assert not found, found

    @rule(index=st.sampled_from((0, 1)))
    def release(self, index: int) -> None:
        """Release a host as the controllers do: every step has to succeed, whatever is stored."""
        self.loop.run_until_complete(self._release(list(self.registries.hosts.collection.range())[index].name))

    async def _release(self, host: str) -> None:
        registries = self.registries
        entry = registries.catalog.hosts.claims.workload_of_host(registries.hosts.get("", host).object())
        if entry is None:
            return
        where, name = entry.namespace, entry.name
        await registries.workloads.delete(CONTEXT, where, name, DeleteOptions())
        status = {"phase": "Deprovisioning"}
        await registries.workloads.update(CONTEXT, where, name, lambda old: {**old, "status": status}, subresource="status")
        await registries.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})
        await registries.workloads.update(CONTEXT, where, name, without_release)
        assert "claimRef" not in registries.hosts.get("", host).object()["spec"]


def without_release(old: dict[str, Any]) -> dict[str, Any]:
    """Return the Workload without the finalizer that keeps it until its host is released."""
    left = [finalizer for finalizer in old["metadata"].get("finalizers") or () if finalizer != RELEASE_FINALIZER]
    return {**old, "metadata": {**old["metadata"], "finalizers": left}}


TestStoredObjects = StoredObjects.TestCase
TestStoredObjects.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
