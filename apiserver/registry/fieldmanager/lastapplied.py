"""Support the transition from kubectl's client-side apply to server-side apply.

Client-side apply owns fields by Update, and records the applied object in an annotation. When the
manager "kubectl" then applies on the server, fields that are still as recorded do not conflict. The
annotation is kept up to date, so that a client may return to client-side apply
(managedfields/internal/lastappliedmanager.go and lastappliedupdater.go).
"""

from __future__ import annotations

import json
from typing import Any

from apiserver.registry.fieldmanager.compare import compare
from apiserver.registry.fieldmanager.elements import whole_numbers
from apiserver.registry.fieldmanager.errors import SchemaMismatch
from apiserver.registry.fieldmanager.fieldset import EMPTY, FieldSet
from apiserver.registry.fieldmanager.schema import Type
from apiserver.registry.fieldmanager.typed import to_field_set, validate

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
"""The manager for which this is done. Clients that do not want it use another name."""

_ANNOTATIONS_LIMIT = 256 * 1024


def unchanged_fields(schema: Type, live: dict[str, Any], api_version: str) -> FieldSet:
    """Return the fields that are still as client-side apply left them. Empty without a valid
    annotation."""
    note = _annotations(live).get(ANNOTATION)
    try:
        applied = json.loads(note) if note else None
        if not isinstance(applied, dict) or applied.get("apiVersion") != api_version:
            return EMPTY
        validate(schema, live)
        validate(schema, applied)
        changes = compare(schema, applied, live)
    except (ValueError, TypeError, SchemaMismatch):
        return EMPTY
    return to_field_set(schema, applied) - changes.modified - changes.added - changes.removed


def renewed(obj: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """Return `obj` with `applied` in its annotation, if it has one. A too large annotation is
    removed."""
    annotations = _annotations(obj)
    if not annotations.get(ANNOTATION):
        return obj
    changed = {**annotations, ANNOTATION: _note(applied)}
    if sum(len(name.encode()) + len(text.encode()) for name, text in changed.items()) > _ANNOTATIONS_LIMIT:
        del changed[ANNOTATION]
    return {**obj, "metadata": {**obj["metadata"], "annotations": changed}}


def _annotations(obj: dict[str, Any]) -> dict[str, str]:
    found = (obj.get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}


def _note(applied: dict[str, Any]) -> str:
    metadata = dict(applied.get("metadata") or {})
    if isinstance(metadata.get("annotations"), dict):
        metadata["annotations"] = {name: text for name, text in metadata["annotations"].items() if name != ANNOTATION}
    text = json.dumps(whole_numbers({**applied, "metadata": metadata}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") + "\n"
