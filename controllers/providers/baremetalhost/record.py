"""What a claimed host tells of its Workload, so that it can be created again when the store of the management cluster is lost. Pure.

The Baremetal Operator's cluster then is the only place that knows who has which machine. The record is of no use to anything else.
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
"""Characters of a record. What is larger is not noted, for annotations have a limit together; the host is found again all the same."""
SHOWN = ("image", "customDeploy", "online", "automatedCleaningMode")
"""Fields of a real host's spec that are its Workload's as they are."""


@dataclass(frozen=True, slots=True)
class Record:
    """`spec`: the Workload's. `namespace_uid`: "" where it is not known."""

    spec: Object
    namespace_uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)


def record_of(workload: Object, namespace_uid: str) -> str:
    """Return the annotation's value; "" for a Workload that is too large."""
    labels = {key: value for key, value in labels_of(workload).items() if key == CLAIMED_THROUGH}
    content: dict[str, Any] = {"namespaceUID": namespace_uid, "labels": labels, "spec": workload["spec"]}
    text = orjson.dumps({key: value for key, value in content.items() if value}, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= LARGEST else ""


def read_record(bmh: Object) -> Record:
    """Return what the host tells of its Workload. Where there is no record, as of earlier versions, its own spec tells what runs."""
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
