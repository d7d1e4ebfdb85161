"""Choose the representation of a response (Accept), and check that of a body (Content-Type).

The supported media types are JSON and YAML. Their parameters may request the forms Table and
PartialObjectMetadata[List] of meta.k8s.io v1 and v1beta1. Unsupported alternatives (protobuf, CBOR)
are skipped, and the client's next one is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apiserver.apis.bounded import bounded_lru_cache
from apiserver.apis.status import bad_request, not_acceptable, unsupported_media_type
from apiserver.handlers.request.call import Call, is_true

JSON, YAML = "application/json", "application/yaml"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
APPLY_PATCH, STRATEGIC_PATCH = "application/apply-patch+yaml", "application/strategic-merge-patch+json"
PATCHES = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
"""The patch formats that every kind accepts."""
TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
INCLUDE = ("None", "Metadata", "Object")
ACCEPT = 4096
"""The largest number of characters in all Accept headers of a request."""
PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")


@dataclass(frozen=True, slots=True)
class Clause:
    """One alternative of an Accept header."""

    media: str
    parameters: dict[str, str]
    quality: float


@dataclass(frozen=True, slots=True)
class Form:
    """The representation of a response.

    `kind` is "" for the object itself, or one of TRANSFORMS in `version` of meta.k8s.io."""

    media: str = JSON
    pretty: bool = False
    kind: str = ""
    version: str = "v1"

    @property
    def raw(self) -> bool:
        """Return whether encoded JSON can be sent unchanged."""
        return self.media == JSON and not self.pretty


def negotiate(call: Call, *, transforms: bool = True, watch: bool = False) -> Form:
    """Return the client's first alternative that is supported.

    Raises ApiError: NotAcceptable (406), or 400 for a bad includeObject."""
    accept = call.http.headers.getall("Accept", ())
    if sum(map(len, accept)) > ACCEPT:
        raise bad_request(f"the Accept headers have more than {ACCEPT} characters: name fewer media types")
    form = _choose(", ".join(accept), transforms, watch)
    if form.kind == "Table" and call.query.get("includeObject", "") not in ("", *INCLUDE):
        raise bad_request(f'unrecognized includeObject value: "{call.query["includeObject"][:64]}"; use {", ".join(INCLUDE)}')
    if watch or form.pretty:
        return form
    return replace(form, pretty=True) if wants_pretty(call) else form


def wants_pretty(call: Call) -> bool:
    """Return whether the response is for people to read, by the query or by the user agent."""
    wanted = call.query.get("pretty")
    return wanted != "" and is_true(wanted) if wanted is not None else call.http.headers.get("User-Agent", "").startswith(PRETTY_AGENTS)


def content_type(header: str, supported: Sequence[str] = (JSON, YAML)) -> str:
    """Return the media type of a body, JSON by default. Raises ApiError UnsupportedMediaType
    (415)."""
    media = header.partition(";")[0].strip().lower() or JSON
    if media not in supported:
        raise unsupported_media_type(supported)
    return media


def clauses(header: str) -> list[Clause]:
    """Return the alternatives of an Accept header, best first, without those with q=0."""
    found = [_clause(part) for part in header.split(",") if part.strip()]
    # the sort is stable: equal alternatives keep the client's order, but named types precede
    # wildcards
    return sorted((c for c in found if c.quality > 0), key=lambda c: (-c.quality, c.media.count("*")))


@bounded_lru_cache(512, 1024)
def _choose(header: str, transforms: bool, watch: bool) -> Form:
    medias = (JSON,) if watch else (JSON, YAML)
    for clause in clauses(header) if header.strip() else [Clause("*/*", {}, 1.0)]:
        media = JSON if clause.media in ("*/*", "application/*") else clause.media
        kind, parameters = clause.parameters.get("as", ""), clause.parameters
        if media not in medias or (kind and not transforms):
            continue
        version = parameters.get("v", "")
        if (kind or version or "g" in parameters) and not (
            kind in TRANSFORMS and version in ("v1", "v1beta1") and parameters.get("g") == "meta.k8s.io"
        ):
            continue
        return Form(media, parameters.get("pretty") == "1" and not watch, kind, version or "v1")
    raise not_acceptable([JSON, *(["application/json;stream=watch"] if watch else [YAML])])


def _clause(text: str) -> Clause:
    media, *rest = (part.strip() for part in text.split(";"))
    parameters = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    try:
        quality = float(parameters.pop("q", "1"))
    except ValueError:
        quality = 1.0
    return Clause(media.lower(), parameters, quality if 0 <= quality <= 1 else 1.0)
