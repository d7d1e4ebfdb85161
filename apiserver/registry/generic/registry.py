"""Create, read, update and delete objects of one kind over the watch cache, with optimistic
commits.

A write reads the cache, decides, and commits on condition of the revision that it read. If another
write came between, it starts again; if the client named a resourceVersion, it gets 409 then. A kind
adds its rules by its Strategy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

from apiserver.apis.status import (
    ApiError,
    already_exists,
    conflict,
    not_found,
    path_not_found,
    service_unavailable,
)
from apiserver.registry.fieldmanager import keep_times
from apiserver.registry.generic import labels, metadata, sizelimits
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context, DeleteOptions
from apiserver.registry.generic.entry import Change, Entry, EntryParts, RecentWrites, decoder, encode_stored, unversioned
from apiserver.registry.generic.metadata import now
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.sharing import sharing
from apiserver.registry.generic.strategy import Admission, AdmitEverything, Strategy
from apiserver.registry.generic.tracking import Tracking, with_fields
from apiserver.registry.generic.validation import normalize, refuse
from storage.base import Conflict, Delete, Priority, Put
from storage.cache import WatchCache
from storage.collection import Collection

T = TypeVar("T")

PRIVATE = "private"
"""A subresource that has no objects.

Permission to get it is permission to see a kind's objects in full (see Registry.reduced)."""

ATTEMPTS = 32
"""The number of attempts at a write that meets conflicts. After each, another write has
succeeded."""


class Registry:
    """All objects of one kind.

    `namespace` is "" for cluster-scoped kinds. Every method raises ApiError.

    `reduced` is for kinds that some readers may not see in full: a read-only registry of the same
    objects with fewer fields. Users that may "get" the subresource PRIVATE see everything."""

    reduced: Registry | None = None
    scale: Registry | None = None
    """The registry of the subresource scale, for kinds that have it."""
    size = sizelimits.SIZE
    """The largest size in bytes of an object that clients write."""

    def __init__(
        self,
        resource: Resource,
        cache: WatchCache,
        *,
        strategy: Strategy | None = None,
        admission: Admission | None = None,
        indexers: Mapping[str, Callable[[Entry], Iterable[Hashable]]] | None = None,
        convert: Change | None = None,
        collection: Collection[Entry] | None = None,
    ) -> None:
        self.resource = resource
        self.cache = cache
        self.strategy = strategy or Strategy()
        self.admission: Admission = admission or AdmitEverything()
        self._recent_writes = RecentWrites()
        self.decode = decoder(resource, convert, self._recent_writes)
        self.tracking = Tracking(resource)
        indexes = {**(indexers or {}), labels.INDEX: labels.indexer}
        if collection is None:  # an empty one counts as false
            collection = cache.collection(resource.prefix, self.decode, indexes, attrgetter("overhead"))
        self.collection = collection

    def from_history(self, key: str, value: bytes, revision: int) -> Entry | None:
        """Return the object for a stored value from the history, or None if there is none."""
        return self.decode(key, value, revision)

    def find(self, namespace: str, name: str) -> Entry | None:
        """Return the object's latest state, or None."""
        return self.collection.get(self.resource.key(namespace, name))

    def get(self, namespace: str, name: str) -> Entry:
        """Return the object's latest state. Raises NotFound."""
        entry = self.find(namespace, name)
        if entry is None:
            raise not_found(self.resource.group, self.resource.plural, name)
        return entry

    def get_for_write(self, namespace: str, name: str) -> Entry:
        """Return the object's latest state for a client's write. Raises NotFound."""
        entry = self.get(namespace, name)
        self.strategy.check_access(entry)
        return entry

    async def create(self, context: Context, namespace: str, obj: dict[str, Any], *, applied: bool = False) -> Entry:
        """Store a new object. If a generated name exists already, another one is generated.

        `applied` is true if the object is the result of a server-side apply."""
        generated = not (obj.get("metadata") or {}).get("name")
        with context.finishing():
            for _ in range(ATTEMPTS):
                new = await self.admit_new(context, namespace, obj, applied=applied)
                name = new["metadata"]["name"]
                if self.find(namespace, name) is None:
                    try:
                        return await self._store(context, None, new)
                    except Conflict as error:
                        if error.key != self.resource.key(namespace, name):
                            continue  # the state by which admission decided has changed
                if not generated:
                    break
            else:
                raise self._crowded(name)
            raise already_exists(self.resource.group, self.resource.plural, name)

    async def admit_new(self, context: Context, namespace: str, obj: dict[str, Any], *, applied: bool = False) -> dict[str, Any]:
        """Return the object that `create` would store.

        Its metadata is set, its defaults are filled, it is validated and admitted, and its field
        manager is recorded."""
        sent = managed_fields(obj)
        new = self.strategy.prepare_create(context, {**obj, "metadata": metadata.for_create(self.resource, obj, namespace, now())})
        name = new["metadata"]["name"]
        await context.yield_if_large()
        new = normalize(self.resource, new, name)
        await context.yield_if_large()
        new = with_fields(new, sent or []) if applied else self.tracking.track(context, None, new, sent, "", now())
        await context.yield_if_large()
        new = self._checked(None, self.strategy.fill(None, new, ""))
        return await self._admitted(Attributes("CREATE", context, self.resource, namespace, name, new, None), new)

    async def update(
        self, context: Context, namespace: str, name: str, change: Change, *, subresource: str = "", applied: bool = False
    ) -> Entry:
        """Store the object that `change` returns for the current one.

        `change` must not modify its argument, but the result may share parts with it. It is called
        again if another write came between, unless the result names a resourceVersion. Writing an
        identical object changes nothing.

        `applied` is true if the result comes from a server-side apply and includes its
        managedFields."""

        async def attempt() -> Entry:
            entry = self.get_for_write(namespace, name)
            old = entry.object()
            new = change(old)
            await context.yield_if_large(len(entry.json))
            return await self._replace(context, entry, old, new, subresource, applied=applied)

        with context.finishing():
            return await self.retrying(name, attempt)

    async def apply(
        self, context: Context, namespace: str, name: str, wanted: dict[str, Any], *, force: bool, subresource: str = ""
    ) -> tuple[Entry, bool]:
        """Apply `wanted` on the server. Return the object, and whether it was created.

        `wanted` has the fields that the client wants to own."""

        async def attempt() -> tuple[Entry, bool]:
            if self.find(namespace, name) is not None or subresource or "create" not in self.resource.verbs:
                return await self._apply(context, namespace, name, wanted, subresource, force=force), False
            uid = (wanted.get("metadata") or {}).get("uid")
            if uid:
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise conflict(self.resource.group, self.resource.plural, name, why)
            metadata.check_numbers(self.resource, name, {}, wanted.get("metadata"))
            obj = self.tracking.apply(context, None, wanted, "", now(), force=force)
            await context.yield_if_large()
            # A new object has no resourceVersion that could match.
            obj = {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}
            try:
                return await self.create(context, namespace, obj, applied=True), True
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                raise Conflict(self.resource.key(namespace, name), 0, 0) from error

        return await self.retrying(name, attempt)

    async def _apply(self, context: Context, namespace: str, name: str, wanted: dict[str, Any], subresource: str, *, force: bool) -> Entry:
        def change(current: dict[str, Any]) -> dict[str, Any]:
            metadata.check_numbers(self.resource, name, current["metadata"], wanted.get("metadata"))
            filled = self.strategy.filled(current)
            return self.tracking.apply(context, current, wanted, subresource, now(), force=force, filled=filled)

        return await self.update(context, namespace, name, change, subresource=subresource, applied=True)

    async def admit_change(
        self, context: Context, entry: Entry, old: dict[str, Any], new: dict[str, Any], subresource: str = "", *, applied: bool = False
    ) -> dict[str, Any]:
        """Return the object that `update` would store in place of `old`, the object of `entry`.

        It is validated and admitted, and its field managers and its generation are recorded. Like
        `admit_new`, it serves callers that store the object together with others."""
        sent, given = managed_fields(new), new.get("metadata")
        meta = metadata.for_update(self.resource, old["metadata"], given if isinstance(given, dict) else {})
        new = self.strategy.prepare_update(context, old, {**sharing(old, new), "metadata": meta}, subresource)
        size = len(entry.json)
        await context.yield_if_large(size)
        new = normalize(self.resource, with_fields(new, []), entry.name, old)
        await context.yield_if_large(size)
        new = with_fields(new, sent or []) if applied else self.tracking.track(context, old, new, sent, subresource, now())
        await context.yield_if_large(size)
        new = self._checked(old, self.strategy.fill(old, new, subresource))
        write = Attributes("UPDATE", context, self.resource, entry.namespace, entry.name, new, old, subresource)
        new = await self._admitted(write, new)
        if subresource != "status" and self._content(new) != self._content(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return keep_times(old, new)

    async def admit_deletion(self, context: Context, entry: Entry, old: dict[str, Any]) -> None:
        """Ask admission whether the object may be deleted. Raises ApiError."""
        await self.admission.admit(Attributes("DELETE", context, self.resource, entry.namespace, entry.name, None, old))

    async def _replace(
        self, context: Context, entry: Entry, old: dict[str, Any], new: dict[str, Any], subresource: str, *, applied: bool
    ) -> Entry:
        new = await self.admit_change(context, entry, old, new, subresource, applied=applied)
        if "deletionTimestamp" in old["metadata"] and self.strategy.may_end(new):
            await self._remove(context, entry, new)
            # as kube-apiserver, return no other resourceVersion to the writer
            return self.decode(entry.key, encode_stored(self.resource, new), entry.revision)
        if same(old, new):
            context.finish(False)  # a previous attempt may have been charged
            return entry
        return await self._store(context, entry, new, old, follows=subresource == "status")

    async def _admitted(self, write: Attributes, new: dict[str, Any]) -> dict[str, Any]:
        """Return the object that the write may store after admission."""
        await write.context.yield_if_large()
        admitted = await self.admission.admit(write)
        return new if admitted is new or admitted is None else self._checked(write.old, admitted)

    async def delete(self, context: Context, namespace: str, name: str, options: DeleteOptions) -> tuple[Entry, bool]:
        """Delete an object, or mark it as deleted while it has finalizers.

        Returns the last state, and whether the object is gone now."""

        async def attempt() -> tuple[Entry, bool]:
            entry = self.get_for_write(namespace, name)
            old = entry.object()
            self._check_preconditions(old["metadata"], name, options)
            await self.admit_deletion(context, entry, old)
            marked = self.strategy.mark_deleted(old, options.propagation)
            if marked is None:
                return await self._remove(context, entry, old), True
            if same(old, marked):
                return entry, False
            return await self._store(context, entry, marked, old), False

        return await self.retrying(name, attempt)

    async def connect(self, context: Context, namespace: str, name: str, subresource: str, body: dict[str, Any]) -> dict[str, Any]:
        """Execute a subresource that is an action (see Resource.subresources). Return the response
        object."""
        raise path_not_found()

    async def retrying(self, name: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Execute a write, and start again from the current objects on a storage.Conflict.

        Raises ApiError (503) if the conflicts continue."""
        for _ in range(ATTEMPTS):
            try:
                return await attempt()
            except Conflict:
                continue
        raise self._crowded(name)

    def _crowded(self, name: str) -> ApiError:
        return service_unavailable(f'{self.resource.plural} "{name}" is being written by too many others at once; try again')

    def _checked(self, old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
        new["apiVersion"], new["kind"] = self.resource.api_version, self.resource.kind
        causes = self.strategy.validate(old, new)
        if causes:
            raise refuse(self.resource, new["metadata"]["name"], causes)
        return new

    def _content(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Return the part of an object whose changes the generation counts."""
        apart = ("apiVersion", "kind", "metadata", *(("status",) if "status" in (self.resource.subresources or {}) else ()))
        return {name: value for name, value in obj.items() if name not in apart}

    def _check_preconditions(self, meta: dict[str, Any], name: str, options: DeleteOptions) -> None:
        for wanted, found, what in (
            (options.uid, meta["uid"], "UID"),
            (options.resource_version, meta["resourceVersion"], "ResourceVersion"),
        ):
            if wanted is not None and wanted != found:
                why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
                raise conflict(self.resource.group, self.resource.kind, name, why)

    async def _store(
        self, context: Context, entry: Entry | None, new: dict[str, Any], old: dict[str, Any] | None = None, *, follows: bool = False
    ) -> Entry:
        """Commit a create (`entry` is None) or an update. Raises storage.Conflict after a
        concurrent write."""
        releases = old is not None and self.strategy.releases(old, new)
        new, others = await self.strategy.operations(context, entry, old, new)
        if entry is not None and new is old:
            return entry
        own = self.put(entry, new, follows=follows, releases=releases)
        operations = [own, *others]
        self.strategy.check_commit(old, new, operations, follows=follows)
        if context.dry_run:
            return self.decode(own.key, own.value, entry.revision) if entry else unversioned(self.decode(own.key, own.value, 0))
        revision = await self.cache.commit([*operations, *context.operations])
        context.finish(True)
        await self.strategy.after_commit(context, old, new)
        return self.stored(own, revision)

    def put(self, current: Entry | None, obj: dict[str, Any], *, follows: bool = True, releases: bool = False) -> Put:
        """Return the operation that stores `obj` if `current` (None: nothing) is still stored.

        `follows` is true if the write is not a client's own, `releases` if it is part of a release.
        Raises ApiError if the object is too large (see generic.sizelimits)."""
        key = self.resource.key(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        value = encode_stored(self.resource, obj)
        sizelimits.check(self.resource, current, obj, value, self.size, follows=follows)
        self._recent_writes.keep(key, value, EntryParts.of(self.resource, obj))
        priority = Priority.RELEASE if releases else self._priority(current, obj, follows=follows)
        return Put(key, value, current.revision if current else 0, priority)

    def _priority(self, current: Entry | None, obj: dict[str, Any], *, follows: bool) -> Priority:
        """Return the priority of the write.

        Cluster-scoped kinds belong to the owner and the controllers, so their writes may use the
        reserve for releases."""
        if current is None:
            return Priority.CLIENT
        if not self.resource.namespaced:
            return Priority.RELEASE
        if "deletionTimestamp" in obj["metadata"] and (follows or "deletionTimestamp" not in current.object()["metadata"]):
            return Priority.RELEASE
        return Priority.FOLLOWS if follows else Priority.CLIENT

    def stored(self, own: Put, revision: int) -> Entry:
        """Return the entry of the operation `own`, which was committed as `revision`."""
        entry = self.collection.get(own.key)
        return entry if entry is not None and entry.revision == revision else self.decode(own.key, own.value, revision)

    async def _remove(self, context: Context, entry: Entry, last: dict[str, Any]) -> Entry:
        if context.dry_run:
            return entry
        operations = [Delete(entry.key, expected=entry.revision), *self.strategy.operations_of_removal(entry, last)]
        revision = await self.cache.commit(operations)
        return self.decode(entry.key, encode_stored(self.resource, last), revision)


def managed_fields(obj: dict[str, Any]) -> Any:
    """Return metadata.managedFields of an object from a client, or None."""
    metadata = obj.get("metadata")
    return metadata.get("managedFields") if isinstance(metadata, dict) else None


def same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether two states of an object differ only in their resourceVersion."""
    if old["metadata"].get("resourceVersion") == new["metadata"].get("resourceVersion"):
        return old == new
    return stripped(old) == stripped(new)


def stripped(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object without its resourceVersion."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}
