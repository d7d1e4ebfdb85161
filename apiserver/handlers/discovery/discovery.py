"""Serve discovery: /api, /apis, /apis/G and /apis/G/V.

The first two also have the aggregated form (apidiscovery.k8s.io v2, v2beta1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from apiserver.apis.status import not_acceptable
from apiserver.handlers.discovery.documents import Document
from apiserver.handlers.request.call import Call, Handler
from apiserver.handlers.request.negotiation import JSON, YAML, Form, clauses, wants_pretty
from apiserver.registry.generic.resource import SCALE, Resource

AGGREGATED = ("v2", "v2beta1")
ACTION_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""The verbs in the order in which kube-apiserver lists them for custom resources."""


class Discovery:
    """The discovery documents of these resources."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._groups: dict[str, dict[str, list[Resource]]] = {}
        for resource in resources:
            self._groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by path."""
        core = self._groups.get("", {})
        named = {group: versions for group, versions in self._groups.items() if group}
        found = {
            "/api": _root({"kind": "APIVersions", "versions": list(core), "serverAddressByClientCIDRs": []}, {"": core} if core else {}),
            "/apis": _root({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_of(*item) for item in named.items()]}, named),
        }
        for version, resources in core.items():
            found[f"/api/{version}"] = _plain(resource_list("", version, resources))
        for group, versions in named.items():
            found[f"/apis/{group}"] = _plain({"kind": "APIGroup", "apiVersion": "v1", **group_of(group, versions)})
            for version, resources in versions.items():
                found[f"/apis/{group}/{version}"] = _plain(resource_list(group, version, resources))
        return found


def resource_list(group: str, version: str, resources: Sequence[Resource]) -> dict[str, Any]:
    """Return the APIResourceList of one group and version."""
    items: list[dict[str, Any]] = []
    for resource in resources:
        item: dict[str, Any] = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _ordered(resource.verbs),
        }
        if resource.short_names:
            item["shortNames"] = list(resource.short_names)
        if resource.categories:
            item["categories"] = list(resource.categories)
        items.append(item)
        for name, verbs in (resource.subresources or {}).items():
            found = _subresource_kind(resource, name)
            elsewhere = {"group": found["group"], "version": found["version"]} if name == SCALE else {}
            items.append(
                {
                    "name": f"{resource.plural}/{name}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    **elsewhere,
                    "kind": found["kind"],
                    "verbs": _ordered(verbs),
                }
            )
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": items}


def aggregated(groups: dict[str, dict[str, list[Resource]]], version: str) -> dict[str, Any]:
    """Return the APIGroupDiscoveryList of the groups, in a version of apidiscovery.k8s.io."""
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [
                {"version": name, "resources": [_discovery(resource) for resource in resources], "freshness": "Current"}
                for name, resources in versions.items()
            ],
        }
        for group, versions in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": items}


def _discovery(resource: Resource) -> dict[str, Any]:
    kind = {"group": resource.group, "version": resource.version}
    found: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {**kind, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _ordered(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    subresources = [
        {"subresource": name, "responseKind": _subresource_kind(resource, name), "verbs": _ordered(verbs)}
        for name, verbs in (resource.subresources or {}).items()
    ]
    return {**found, "subresources": subresources} if subresources else found


def group_of(group: str, versions: dict[str, list[Resource]]) -> dict[str, Any]:
    """Return the entry of a group in an APIGroupList."""
    served = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": served, "preferredVersion": served[0]}


def _subresource_kind(resource: Resource, name: str) -> dict[str, str]:
    """Return group, version and kind of the subresource's objects."""
    if name == SCALE:
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    kind = resource.kind if name == "status" else resource.kind + name.capitalize()
    return {"group": resource.group, "version": resource.version, "kind": kind}


def _ordered(verbs: frozenset[str]) -> list[str]:
    return [verb for verb in ACTION_VERBS if verb in verbs]


def _plain(value: dict[str, Any]) -> Handler:
    document = Document(value)

    async def handle(call: Call) -> web.StreamResponse:
        return document.respond(call, choose(call, ())[0])

    return handle


def _root(legacy: dict[str, Any], groups: dict[str, dict[str, list[Resource]]]) -> Handler:
    documents = {"": Document(legacy), **{version: Document(aggregated(groups, version)) for version in AGGREGATED}}

    async def handle(call: Call) -> web.StreamResponse:
        form, version = choose(call, AGGREGATED)
        if not version:
            return documents[""].respond(call, form)
        # The document is the same for all users, so proxies may cache it.
        media = f"{form.media};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return documents[version].respond(call, form, media=media, headers={"Cache-Control": "public"})

    return handle


def choose(call: Call, versions: Sequence[str]) -> tuple[Form, str]:
    """Return the form, and the version of aggregated discovery that the client prefers ("" for
    none)."""
    alternatives = clauses(", ".join(call.http.headers.getall("Accept", ())) or "*/*")
    for clause in alternatives:
        media = JSON if clause.media in ("*/*", "application/*") else clause.media
        form, version = clause.parameters.get("as", ""), clause.parameters.get("v", "")
        if media not in (JSON, YAML):
            continue
        if form == "APIGroupDiscoveryList" and clause.parameters.get("g") == "apidiscovery.k8s.io" and version in versions:
            return Form(media), version
        if not form:
            return Form(media, wants_pretty(call)), ""
    raise not_acceptable([JSON, YAML])
