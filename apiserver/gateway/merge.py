"""Merge the view's kinds into kube-apiserver's documents of discovery and OpenAPI.

The kinds of the view replace those of the same name in every version of their group. Everything
else stays as it is in kube-apiserver's document. The functions return new documents, and change
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.apis.status import ApiError
from apiserver.handlers.discovery.discovery import aggregated, group_of, resource_list
from apiserver.handlers.discovery.openapi_document import definition_name, document_v2, document_v3
from apiserver.registry.generic.resource import Resource

GVK = "x-kubernetes-group-version-kind"


class _Kinds:
    """The kinds of the view, which are of one group and version."""

    def __init__(self, kinds: Sequence[Resource]) -> None:
        self.kinds, self.group, self.version = kinds, kinds[0].group, kinds[0].version
        self.plurals = {one.plural for one in kinds}
        self.names = {one.kind for one in kinds} | {f"{one.kind}List" for one in kinds}

    def has(self, resource: str) -> bool:
        """Return whether a resource, or resource and subresource, is one of them."""
        return resource.partition("/")[0] in self.plurals


def group_list(found: dict[str, Any], kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return the APIGroupList with the view's group and version."""
    groups, name = list(found.get("groups") or ()), kinds[0].group
    places = [number for number, one in enumerate(groups) if one.get("name") == name]
    if not places:
        return {**found, "groups": [*groups, group_of(name, {kinds[0].version: list(kinds)})]}
    groups[places[0]] = group(groups[places[0]], kinds)
    return {**found, "groups": groups}


def group(found: dict[str, Any] | None, kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return the APIGroup with the view's version. The argument is None if there is no such
    group."""
    own = group_of(kinds[0].group, {kinds[0].version: list(kinds)})
    if found is None:
        return {"kind": "APIGroup", "apiVersion": "v1", **own}
    versions = list(found.get("versions") or ())
    if any(one.get("version") == kinds[0].version for one in versions):
        return found
    return {**found, "versions": [*versions, *own["versions"]]}


def resources(found: dict[str, Any] | None, version: str, kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return the APIResourceList of a version of the view's group."""
    view = _Kinds(kinds)
    own = resource_list(view.group, view.version, kinds) if version == view.version else None
    if found is None:
        return own or {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{view.group}/{version}", "resources": []}
    others = [one for one in found.get("resources") or () if not view.has(str(one.get("name")))]
    return {**found, "resources": [*others, *(own["resources"] if own else ())]}


def without_kinds(found: dict[str, Any], kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return an APIResourceList without the view's kinds."""
    view = _Kinds(kinds)
    return {**found, "resources": [one for one in found.get("resources") or () if not view.has(str(one.get("name")))]}


def discovery_list(found: dict[str, Any], kinds: Sequence[Resource], view_group: str) -> dict[str, Any]:
    """Return the APIGroupDiscoveryList with the view's kinds, which `view_group` no longer has.

    Otherwise, clients would list the same objects twice."""
    view = _Kinds(kinds)
    form = str(found.get("apiVersion")).rpartition("/")[2]
    (own,) = aggregated({view.group: {view.version: list(kinds)}}, form)["items"]
    items = {(one.get("metadata") or {}).get("name", ""): one for one in found.get("items") or ()}
    if view_group in items:
        items[view_group] = _discovered(items[view_group], None, view)
    items[view.group] = _discovered(items[view.group], own["versions"][0], view) if view.group in items else own
    return {**found, "items": list(items.values())}


def _discovered(found: dict[str, Any], own: dict[str, Any] | None, view: _Kinds) -> dict[str, Any]:
    versions = []
    for version in found.get("versions") or ():
        kept = [one for one in version.get("resources") or () if not view.has(str(one.get("resource")))]
        added = own["resources"] if own is not None and version.get("version") == view.version else ()
        versions.append({**version, "resources": [*kept, *added]})
    if own is not None and not any(version.get("version") == view.version for version in versions):
        versions.append(own)
    return {**found, "versions": versions}


def openapi_v3(found: dict[str, Any] | None, version: str, kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return the OpenAPI v3 document of a version of the view's group. The argument is None if there
    is no such document."""
    view = _Kinds(kinds)
    if version != view.version:
        own: dict[str, Any] = {"paths": {}, "components": {"schemas": {}}}
    else:
        own = document_v3(kinds, str(((found or {}).get("info") or {}).get("version", "")))
    if found is None:
        return own
    schemas = _schemas(_member(found, "components", "schemas"), own["components"]["schemas"], view)
    components = {**_member(found, "components"), "schemas": schemas}
    return {**found, "paths": {**_other_paths(found, view), **own["paths"]}, "components": components}


def openapi_v2(found: dict[str, Any], kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return the OpenAPI v2 document with the view's kinds."""
    view = _Kinds(kinds)
    own = document_v2(kinds, "")
    definitions = _schemas(_member(found, "definitions"), own["definitions"], view)
    return {**found, "paths": {**_other_paths(found, view), **own["paths"]}, "definitions": definitions}


def openapi_index(found: dict[str, Any], hash: str, kinds: Sequence[Resource]) -> dict[str, Any]:
    """Return the index of OpenAPI v3 with the document of the view's group, which has this hash."""
    path = f"apis/{kinds[0].api_version}"
    return {**found, "paths": {**_member(found, "paths"), path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={hash}"}}}


def _schemas(found: dict[str, Any], own: dict[str, Any], view: _Kinds) -> dict[str, Any]:
    """Return the schemas of both documents.

    A schema that both have, such as ObjectMeta, is kube-apiserver's, which knows more kinds."""
    others = _without(found, view)
    ours = {name: own[name] for name in _own_names(view) if name in own}
    return {**own, **others, **ours}


def _own_names(view: _Kinds) -> list[str]:
    names = [definition_name(one) for one in view.kinds]
    return [*names, *(f"{name}List" for name in names)]


def _without(schemas: dict[str, Any], view: _Kinds) -> dict[str, Any]:
    """Return the schemas without those of the view's kinds, in any version of the group."""
    return {name: schema for name, schema in schemas.items() if not _describes(schema, view)}


def _describes(schema: Any, view: _Kinds) -> bool:
    kinds = schema.get(GVK) if isinstance(schema, dict) else None
    found = kinds if isinstance(kinds, list) else []
    return any(isinstance(one, dict) and one.get("group") == view.group and one.get("kind") in view.names for one in found)


def _other_paths(found: dict[str, Any], view: _Kinds) -> dict[str, Any]:
    return {path: item for path, item in _member(found, "paths").items() if not _of_view(path, view)}


def _of_view(path: str, view: _Kinds) -> bool:
    """Return whether a path of a document is one of the view's kinds."""
    parts = path.strip("/").split("/")
    return parts[:2] == ["apis", view.group] and not view.plurals.isdisjoint(parts[3:])


def _member(document: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        found = document.get(name, {})
        if not isinstance(found, dict):
            raise ApiError(502, "InternalError", "kube-apiserver's document has another form than expected")
        document = found
    return document
