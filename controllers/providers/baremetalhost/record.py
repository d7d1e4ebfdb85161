"""Record a Workload on its real host, so that it can be created again when the store is lost.

The Baremetal Operator's cluster is then the only place that knows which Workload has which machine.
Nothing else uses the record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.apis.names import CLAIMED_THROUGH, FIRST_BOOT
from apiserver.client.objects import annotations_of, labels_of
from controllers.providers.baremetalhost import names

if TYPE_CHECKING:
    from apiserver.client.objects import Object

__all__ = ["Record", "held_claim", "read_record", "record_of"]

LARGEST = 8192
"""The maximum characters of a record.

A larger one is not written, because all annotations together have a limit. Its host is found again
all the same, by its labels."""
SHOWN = ("image", "customDeploy", "online", "automatedCleaningMode")
"""The fields of a real host's spec that equal those of its Workload."""


@dataclass(frozen=True, slots=True)
class Record:
    """The Workload's `spec`, the uid of its namespace ("" if unknown) and the labels to restore."""

    spec: Object
    namespace_uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)


def record_of(workload: Object, namespace_uid: str) -> str:
    """Return the value of the annotation, or "" for a Workload that is too large."""
    labels = {key: value for key, value in labels_of(workload).items() if key == CLAIMED_THROUGH}
    content: dict[str, Any] = {"namespaceUID": namespace_uid, "labels": labels, "spec": workload["spec"]}
    text = orjson.dumps({key: value for key, value in content.items() if value}, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= LARGEST else ""


def read_record(bmh: Object) -> Record:
    """Return what is recorded of the host's Workload.

    A host that an earlier version claimed has no record; its own spec says what runs."""
    try:
        found = orjson.loads(annotations_of(bmh).get(names.RECORD) or "null")
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        return Record({key: bmh["spec"][key] for key in SHOWN if bmh["spec"].get(key) is not None})
    labels = found.get("labels")
    return Record(found["spec"], str(found.get("namespaceUID") or ""), labels if isinstance(labels, dict) else {})


def held_claim(bmh: Object) -> Object:
    """Return the HeldClaim of a host that a successor of its lost Workload may take over."""
    reference = {key: value for key, value in bmh["spec"]["consumerRef"].items() if key != "uid"}
    spec = {key: value for key, value in read_record(bmh).spec.items() if key in (*SHOWN, *FIRST_BOOT)}
    return {"namespace": reference["namespace"], "recovered": True, "spec": {**spec, "consumerRef": reference}}
