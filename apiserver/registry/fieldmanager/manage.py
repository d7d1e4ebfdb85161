"""Update metadata.managedFields for a write, and execute server-side apply.

The rules are those of k8s.io/apimachinery/pkg/util/managedfields and structured-merge-diff's
merge/update.go, for kinds with one version. The time and the manager's name are parameters.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from apiserver.registry.fieldmanager import lastapplied
from apiserver.registry.fieldmanager.compare import compare
from apiserver.registry.fieldmanager.elements import render
from apiserver.registry.fieldmanager.errors import MOST, ApplyConflict, ApplyRefused, SchemaMismatch
from apiserver.registry.fieldmanager.fieldset import EMPTY, FieldSet
from apiserver.registry.fieldmanager.items import same
from apiserver.registry.fieldmanager.managers import (
    STRIPPED,
    SYSTEM,
    Entry,
    Identity,
    Managers,
    capped,
    decode,
    encode,
    is_reset,
    owner_text,
    parse,
)
from apiserver.registry.fieldmanager.merge import merge
from apiserver.registry.fieldmanager.prune import prune
from apiserver.registry.fieldmanager.reconcile import reconcile
from apiserver.registry.fieldmanager.schema import DEDUCED, Type
from apiserver.registry.fieldmanager.typed import to_field_set, validate

BEFORE_FIRST_APPLY = "before-first-apply"

Object = dict[str, Any]

_ITSELF = FieldSet.of(("f:metadata",))


def track_update(
    schema: Type,
    live: Object | None,
    new: Object,
    *,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    reset: FieldSet = EMPTY,
) -> list[dict[str, Any]]:
    """Return the managedFields of `new`, which a create, PUT, JSON or merge patch is about to
    store.

    [] means to store none. Neither object is changed, and the result shares parts with them.

    live: the stored object, None on create; its managedFields are the server's. new: the complete
    object to store; its managedFields are what the client sent. schema: see compile_schema.
    manager: fieldManager or default_manager(User-Agent). api_version: the request's, such as
    "workload.metal3.io/v1alpha1". now: RFC 3339, UTC, whole seconds. subresource: such as "status".
    reset: the fields that this request cannot change, such as {status} through the main resource,
    or {metadata, spec} through /status.

    An object whose managedFields were reset (see is_reset) is not tracked before its next apply.
    Input from clients never raises: if list items are indistinguishable, or values are nested too
    deeply, no field has an owner.
    """
    old = live or {}
    entries = _entries(old, new, subresource)
    managers = decode(entries, api_version)
    if not managers and live is not None:
        return []
    identity = Identity.of(manager, "Update", api_version, subresource)
    try:
        if live is None and not managers:
            return encode(_created(schema, new, identity, now, reset))
        tracked = _updated(schema, old, new, managers, identity, now, reset)
    except (SchemaMismatch, RecursionError):
        return []
    return entries if tracked is managers and len(managers) == len(entries) else encode(tracked)


def _entries(live: Object, new: Object, subresource: str) -> list[dict[str, Any]]:
    """Return the client's entries if it may and did send some, otherwise the stored ones."""
    stored: list[dict[str, Any]] = _metadata(live).get("managedFields") or []
    sent = _metadata(new).get("managedFields")
    if subresource or sent is None or sent == stored:
        return stored
    return [] if is_reset(sent) else parse(sent) or stored


def _created(schema: Type, new: Object, identity: Identity, now: str, reset: FieldSet) -> Managers:
    """Return the managers of a new object without managers, whose creator owns everything."""
    parts = {name: value for name, value in new.items() if name not in ("apiVersion", "kind", "metadata")}
    metadata = {name: value for name, value in _metadata(new).items() if name not in SYSTEM}
    taken = compare(schema, {}, {"metadata": metadata, **parts} if metadata else parts).added.without(reset) - _ITSELF
    return {identity: Entry(taken, identity.api_version, now)} if taken else {}


def _updated(schema: Type, live: Object, new: Object, managers: Managers, identity: Identity, now: str, reset: FieldSet) -> Managers:
    """Return the managers after an update by `identity`, which owns the fields that it changed.

    Returns the same dict if no tracked field changed."""
    changes = compare(schema, _untracked(live), _untracked(new)).without(reset)
    taken = changes.modified | changes.added
    if not taken and not changes.removed:
        return managers
    left: Managers = {}
    for other, entry in managers.items():
        fields = entry.fields - taken - changes.removed
        if fields:
            left[other] = entry if fields is entry.fields else entry._replace(fields=fields, stored=None)
    taken -= STRIPPED
    if taken:
        previous = left.get(identity)
        left[identity] = Entry(previous.fields | taken if previous else taken, identity.api_version, now)
    return capped(left)


def _metadata(obj: Object) -> Object:
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def _untracked(obj: Object) -> Object:
    """Return the object without its managedFields, which have no owner."""
    metadata = _metadata(obj)
    if "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


def apply(
    schema: Type,
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    api_version: str,
    now: str,
    force: bool = False,
    subresource: str = "",
    reset: FieldSet = EMPTY,
    filled: FieldSet = EMPTY,
) -> Object:
    """Return the object after a server-side apply, with managedFields.

    `live` is None if the apply creates the object. Parameters are those of track_update. `force`
    takes fields that others own. Fields that the manager applied last time, but not now, are
    removed, unless another manager owns them. Defaults are not filled: normalize the result. Fields
    in `reset` are merged but not owned; remove them again. `filled` has the fields of `live` that
    the server chose: they had no owner before the first apply. An apply that changes nothing
    returns an object equal to `live`, including times.

    The result shares parts with both objects and changes neither. Raises ApplyConflict (409),
    ApplyRefused and SchemaMismatch (400).
    """
    if _metadata(applied).get("managedFields") is not None:
        raise ApplyRefused("metadata.managedFields must be nil")
    if applied.get("apiVersion") != api_version:
        raise ApplyRefused(f'invalid object type: {_kind(applied)}: its apiVersion must be "{api_version}"')
    before = _untracked(live) if live is not None else {"apiVersion": api_version, "kind": applied.get("kind")}
    identity = Identity.of(manager, "Apply", api_version, subresource)
    try:
        _check(schema, applied)
        managers = _reconciled(schema, decode(_metadata(live or {}).get("managedFields"), api_version))
        if not managers and live is not None:
            first = Identity.of(BEFORE_FIRST_APPLY, "Update", api_version, subresource)
            managers = _updated(schema, {}, before, managers, first, now, reset | filled)
        obj, after = _forced_if_allowed(schema, before, applied, managers, identity, now, reset, force)
        return _with_managers(obj, after)
    except RecursionError:
        raise ApplyRefused("the object is nested too deeply to be applied: make it flatter") from None


def _forced_if_allowed(
    schema: Type, live: Object, applied: Object, managers: Managers, identity: Identity, now: str, reset: FieldSet, force: bool
) -> tuple[Object, Managers]:
    """Call _applied, with force if all conflicts are with kubectl's own client-side apply.

    Raises ApplyConflict."""
    kubectl = identity.manager == lastapplied.KUBECTL
    try:
        obj, after = _applied(schema, live, applied, managers, identity, now, reset, force)
    except _Conflicts as error:
        if not kubectl or not error.allow(lastapplied.unchanged_fields(schema, live, live["apiVersion"])):
            raise error.conflict(managers) from None
        obj, after = _applied(schema, live, applied, managers, identity, now, reset, True)
    return (lastapplied.renewed(obj, applied) if kubectl else obj), after


def _check(schema: Type, applied: Object) -> None:
    try:
        validate(schema, applied)
    except SchemaMismatch as error:
        metadata = _metadata(applied)
        who = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {_kind(applied)}"
        raise SchemaMismatch(error.errors, f"failed to create typed patch object ({who})") from None


def _kind(obj: Object) -> str:
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    return f"{group}/{version}, Kind={obj.get('kind', '')}"


def _reconciled(schema: Type, managers: Managers) -> Managers:
    """Return the managers with field sets that fit the present schema.

    Where the schema has become atomic since an entry was written, the entry owns the whole
    value."""
    found: Managers = {}
    for identity, entry in managers.items():
        fields = reconcile(schema, entry.fields)
        found[identity] = entry if fields is entry.fields else entry._replace(fields=fields, stored=None)
    return found


class _Conflicts(Exception):
    """The fields that others own and the applier wants to change."""

    def __init__(self, found: dict[Identity, FieldSet]) -> None:
        super().__init__()
        self.found = found

    def allow(self, fields: FieldSet) -> bool:
        """Remove conflicts about these fields. Return True if none is left."""
        if fields:
            self.found = {identity: left for identity, owned in self.found.items() if (left := owned - fields)}
        return not self.found

    def conflict(self, managers: Managers) -> ApplyConflict:
        """Return the error for the client."""
        ordered = sorted(self.found, key=Identity.sort_text)
        found = ((render(path), owner_text(other, managers[other].api_version)) for other in ordered for path in self.found[other].paths())
        return ApplyConflict(list(islice(found, MOST + 1)))


def _applied(
    schema: Type, live: Object, applied: Object, managers: Managers, identity: Identity, now: str, reset: FieldSet, force: bool
) -> tuple[Object, Managers]:
    """Return the merged and pruned object, and its managers. Raises _Conflicts unless `force`."""
    mine = to_field_set(schema, applied).without(reset)
    last = managers.get(identity)
    others = {other: entry for other, entry in managers.items() if other != identity}
    obj = merge(schema, live, applied)
    if last is not None:
        obj = prune(schema, obj, last.fields, mine, (entry.fields for entry in others.values()))
    changes = compare(schema, live, obj).without(reset)
    taken = changes.modified | changes.added
    conflicts = {other: found for other, entry in others.items() if (found := entry.fields & taken)}
    if conflicts and not force:
        raise _Conflicts(conflicts)
    after: Managers = {}
    for other, entry in others.items():
        fields = entry.fields - taken - changes.removed
        if fields:
            after[other] = entry if fields is entry.fields else entry._replace(fields=fields, stored=None)
    mine -= STRIPPED
    changed = not same(schema, live, obj)
    if mine:
        # The time stays if the object is unchanged; a new applier of unchanged fields has no time.
        after[identity] = Entry(mine, live["apiVersion"], now if changed else last.time if last else "")
    return obj, after


def _with_managers(obj: Object, managers: Managers) -> Object:
    metadata = {name: value for name, value in _metadata(obj).items() if name != "managedFields"}
    if managers:
        metadata["managedFields"] = encode(managers)
    return {**obj, "metadata": metadata}


def keep_times(live: Object | None, new: Object) -> Object:
    """Return `new`, with the managedFields of `live` if only times differ, so that nothing is
    written.

    Call it last, on the object to store (metadata set, normalized, unchangeable fields restored),
    as upstream's registry does.
    """
    if live is None:
        return new
    old, found = (_metadata(obj).get("managedFields") or [] for obj in (live, new))
    if old == found or _timeless(old) != _timeless(found) or not same(DEDUCED, _untracked(live), _untracked(new)):
        return new
    return {**new, "metadata": {**new["metadata"], "managedFields": old}}


def _timeless(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
