"""Record a Workload on its real host, so that it can be created again when the store is lost.

Without the store, only the hardware cluster knows which Workload has which machine. Nothing but a
recovery uses the record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from apiserver.apis.names import CLAIMED_THROUGH, FIRST_BOOT, IMAGE_AUTH
from apiserver.client.objects import Object, annotations_of, labels_of
from controllers.providers.baremetalhost import names

LARGEST = 8192
"""The most characters of a record.

A larger record is written without the spec, because all annotations together have a limit. The real
host's own spec then says what runs."""
SHOWN = ("image", "customDeploy", "online", "automatedCleaningMode")
"""The fields of a real host's spec that equal those of its Workload."""


@dataclass(frozen=True, slots=True)
class Record:
    """Hold the Workload's `spec`, the uid of its namespace ("" if unknown) and the labels to
    restore."""

    spec: Object
    namespace_uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)


def record_of(workload: Object, namespace_uid: str) -> str:
    """Return the value of the annotation, without the spec of a Workload that is too large."""
    labels = {key: value for key, value in labels_of(workload).items() if key == CLAIMED_THROUGH}
    content: dict[str, Any] = {"namespaceUID": namespace_uid, "labels": labels, "spec": workload["spec"]}
    text = _encoded(content)
    return text if len(text) <= LARGEST else _encoded({**content, "spec": None})


def _encoded(content: dict[str, Any]) -> str:
    return orjson.dumps({key: value for key, value in content.items() if value}, option=orjson.OPT_SORT_KEYS).decode()


def read_record(bmh: Object) -> Record:
    """Return what is recorded of the host's Workload.

    A host that an earlier version claimed has no record; its own spec says what runs. Every user
    who can write to the hardware cluster can write a record, so only the fields of a genuine record
    are read."""
    try:
        found = orjson.loads(annotations_of(bmh).get(names.RECORD) or "null")
    except orjson.JSONDecodeError:
        found = None
    found = found if isinstance(found, dict) else {}
    spec, labels = found.get("spec"), found.get("labels")
    if not isinstance(spec, dict):
        spec = {key: bmh["spec"][key] for key in SHOWN if bmh["spec"].get(key) is not None}
        if "image" in spec:
            spec["image"] = without_auth(spec["image"])
    label = labels.get(CLAIMED_THROUGH) if isinstance(labels, dict) else None
    return Record(spec, str(found.get("namespaceUID") or ""), {CLAIMED_THROUGH: label} if isinstance(label, str) else {})


def without_auth(image: Object | None) -> Object | None:
    """Return the image without the name of the secret for its registry."""
    return {key: value for key, value in image.items() if key != IMAGE_AUTH} if image else image


def held_claim(bmh: Object) -> Object | None:
    """Return the HeldClaim of a host that a successor of its lost Workload may take over.

    Returns None if the consumer is no Workload that could exist."""
    reference = {key: value for key, value in bmh["spec"]["consumerRef"].items() if key != "uid"}
    if not reference.get("namespace") or not reference.get("name"):
        return None
    record = read_record(bmh)
    spec = {key: value for key, value in record.spec.items() if key in (*SHOWN, *FIRST_BOOT)}
    known = {"namespaceUID": record.namespace_uid} if record.namespace_uid else {}
    return {"namespace": reference["namespace"], **known, "recovered": True, "spec": {**spec, "consumerRef": reference}}
