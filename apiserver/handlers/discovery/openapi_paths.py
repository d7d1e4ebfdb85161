"""List the operations of a resource with their parameters, independent of the OpenAPI version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apiserver.handlers.discovery.openapi_meta import PREFIX
from apiserver.handlers.request.negotiation import JSON, PATCHES, YAML
from apiserver.registry.generic.resource import SCALE, Resource


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `place` is "query" or "path"."""

    name: str
    type: str
    description: str
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `body` and `answer` are neutral schemas; an empty `body` means none. `codes` has pairs of status
    and text. `shared` are the parameters of all methods of the path."""

    path: str
    method: str
    action: str
    id: str
    tag: str
    description: str
    kind: dict[str, str]
    shared: tuple[Parameter, ...]
    parameters: tuple[Parameter, ...]
    answer: dict[str, Any]
    body: dict[str, Any]
    body_required: bool = True
    consumes: tuple[str, ...] = (JSON, YAML)
    produces: tuple[str, ...] = (JSON, YAML)
    codes: tuple[tuple[int, str], ...] = ((200, "OK"), (401, "Unauthorized"))


PRETTY = Parameter("pretty", "string", "If 'true', then the output is pretty printed.")
DRY_RUN = Parameter("dryRun", "string", "When present, indicates that modifications should not be persisted. Valid value: All.")
MANAGER = Parameter("fieldManager", "string", "The name of the actor or entity that is making these changes.")
VALIDATION = Parameter(
    "fieldValidation", "string", "How to handle unknown or duplicate fields: Ignore drops them, Warn (the default) warns, Strict fails."
)
WRITE = (DRY_RUN, MANAGER, VALIDATION)
VERSION = Parameter("resourceVersion", "string", "A constraint on what resource versions a request may be served from.")
LIST = (
    Parameter("allowWatchBookmarks", "boolean", 'Requests watch events with type "BOOKMARK".'),
    Parameter("continue", "string", "The continue option of the page before."),
    Parameter("fieldSelector", "string", "A selector to restrict the list of returned objects by their fields."),
    Parameter("labelSelector", "string", "A selector to restrict the list of returned objects by their labels."),
    Parameter("limit", "integer", "The maximum number of responses to return for a list call."),
    VERSION,
    Parameter("resourceVersionMatch", "string", "How resourceVersion is applied to list calls: Exact or NotOlderThan."),
    Parameter("sendInitialEvents", "boolean", "Whether a watch begins with synthetic events of the objects there are."),
    Parameter("timeoutSeconds", "integer", "Timeout for the list/watch call."),
    Parameter("watch", "boolean", "Watch for changes to the described resources and return them as a stream."),
)
DELETE = (
    DRY_RUN,
    Parameter("gracePeriodSeconds", "integer", "The duration in seconds before the object should be deleted. Not used here."),
    Parameter("orphanDependents", "boolean", "Deprecated: please use the PropagationPolicy."),
    Parameter("propagationPolicy", "string", "Whether and how garbage collection will be performed: Orphan, Background, Foreground."),
)
NAME = Parameter("name", "string", "name of the object", "path")
NAMESPACE = Parameter("namespace", "string", "object name and auth scope, such as for teams and projects", "path")
CREATED = ((200, "OK"), (201, "Created"), (202, "Accepted"), (401, "Unauthorized"))
UPDATED = ((200, "OK"), (201, "Created"), (401, "Unauthorized"))
FORCE = Parameter("force", "boolean", 'Force is going to "force" Apply requests.')
STATUS = {"$ref": f"@{PREFIX}Status"}
OPTIONS = {"$ref": f"@{PREFIX}DeleteOptions"}
ANY = {"type": "object"}
SCALE_DEFINITION = "io.k8s.api.autoscaling.v1.Scale"
SCALED = {"$ref": f"@{SCALE_DEFINITION}"}
SCALE_KIND = {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def paths_of(resource: Resource, definition: str) -> Iterator[Operation]:
    """Yield all operations of the resource and its subresources.

    `definition` is the name of the kind's schema."""
    yield from _Paths(resource, definition).operations()


class _Paths:
    """Generates the operations of one resource."""

    def __init__(self, resource: Resource, definition: str) -> None:
        self.resource = resource
        self.object = {"$ref": f"@{definition}"}
        self.list = {"$ref": f"@{definition}List"}
        self.kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        self.root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        middle = "/namespaces/{namespace}" if resource.namespaced else ""
        self.collection = f"{self.root}{middle}/{resource.plural}"
        self.place = (NAMESPACE,) if resource.namespaced else ()
        words = f"{resource.group or 'core'}.{resource.version}".replace("-", ".").split(".")
        first, *rest = (resource.group or "core").replace("-", ".").split(".")
        self.tag = f"{first}{''.join(word.capitalize() for word in rest)}_{resource.version}"
        self.suffix = "".join(word.capitalize() for word in words)

    def operations(self) -> Iterator[Operation]:
        verbs, name = self.resource.verbs, f"{self.collection}/{{name}}"
        kind = self.resource.kind
        if "list" in verbs:
            yield self._make(self.collection, "get", "list", f"list objects of kind {kind}", LIST, self.list)
            if self.resource.namespaced:
                everywhere = f"{self.root}/{self.resource.plural}"
                yield self._make(everywhere, "get", "list", f"list objects of kind {kind}", LIST, self.list, scope="ForAllNamespaces")
        if "create" in verbs:
            yield self._make(self.collection, "post", "post", f"create a {kind}", WRITE, self.object, body=self.object, codes=CREATED)
        if "deletecollection" in verbs:
            about = f"delete collection of {kind}"
            yield self._make(self.collection, "delete", "deletecollection", about, (*LIST, *DELETE), STATUS, body=OPTIONS)
        yield from self._of_one(name, verbs, "")
        if "delete" in verbs:
            yield self._make(name, "delete", "delete", f"delete a {kind}", DELETE, STATUS, body=OPTIONS, codes=(*CREATED[:1], *CREATED[2:]))
        for subresource, allowed in (self.resource.subresources or {}).items():
            yield from self._of_one(f"{name}/{subresource}", allowed, subresource)

    def _of_one(self, path: str, verbs: frozenset[str], sub: str) -> Iterator[Operation]:
        """Yield GET, PUT and PATCH of an object or subresource, and POST of a subresource."""
        what = f"{sub} of the specified {self.resource.kind}" if sub else f"the specified {self.resource.kind}"
        shape = self.object if sub in ("", "status") else SCALED if sub == SCALE else ANY
        if "get" in verbs:
            yield self._make(path, "get", "get", f"read {what}", (VERSION,), shape, sub=sub)
        if "update" in verbs:
            yield self._make(path, "put", "put", f"replace {what}", WRITE, shape, body=shape, codes=UPDATED, sub=sub)
        if "patch" in verbs:
            body = {"$ref": f"@{PREFIX}Patch"}
            about, parameters = f"partially update {what}", (*WRITE, FORCE)
            yield self._make(path, "patch", "patch", about, parameters, shape, body=body, consumes=PATCHES, codes=UPDATED, sub=sub)
        if sub and "create" in verbs:
            yield self._make(path, "post", "post", f"create {what}", WRITE, shape, body=shape, codes=CREATED, sub=sub)

    def _make(
        self,
        path: str,
        method: str,
        action: str,
        description: str,
        parameters: tuple[Parameter, ...],
        answer: dict[str, Any],
        *,
        body: dict[str, Any] | None = None,
        consumes: tuple[str, ...] = (JSON, YAML),
        codes: tuple[tuple[int, str], ...] = ((200, "OK"), (401, "Unauthorized")),
        sub: str = "",
        scope: str = "",
    ) -> Operation:
        place = () if scope else self.place
        if "{name}" in path:
            place = (NAME, *place)
        word = {"get": "read", "put": "replace", "post": "create", "deletecollection": "delete"}.get(action, action)
        collection = "Collection" if action == "deletecollection" else ""
        namespaced = "Namespaced" if self.resource.namespaced and not scope else ""
        return Operation(
            path=path,
            method=method,
            action=action,
            id=f"{word}{self.suffix}{collection}{namespaced}{self.resource.kind}{sub.capitalize()}{scope}",
            tag=self.tag,
            description=description,
            kind=self.kind,
            shared=(*place, PRETTY),
            parameters=parameters,
            answer=answer,
            body=body or {},
            body_required=body is not OPTIONS,
            consumes=consumes,
            codes=codes,
        )
