"""Read and write what a real host records of its adoption.

The owner gives a host that is in use to a tenant as it runs. The tenant's side is a Workload, or
the consumer that the host has, which moves to the management cluster. `adopt` records that in one
annotation of the host. Until a Workload takes the host over, nothing else on the host changes. As
long as the adopted system runs, the record stays, and the host keeps its own references to
first-boot secrets and its cleaning mode. So the host can be given back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from apiserver.apis.host import WORKLOAD_FIELDS, adopted_consumer
from apiserver.apis.names import ADOPTS, FIRST_BOOT, GROUP, IMAGE_AUTH, VERSION
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.record import without_auth

KEPT = ("image", "customDeploy", *FIRST_BOOT, "automatedCleaningMode")
"""The fields of an adopted host's spec that stay as its owner wrote them, while the adopted system
runs."""
CONSUMER_LABELS = ("cluster.x-k8s.io/cluster-name", "infrastructure.cluster.x-k8s.io/node-reuse")
"""The labels that CAPM3 puts on a host that it has."""
CAPM3 = "metal3.io/capm3"
"""CAPM3's value of the annotation by which it pauses the hosts of a paused Cluster."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """Name the Workload or consumer that may take the host over.

    `cluster`: the identity of the management cluster. `workload`: the name of the Workload; "" for
    the host's own consumer, which moves there. `consumer`: the consumerRef that the host had."""

    cluster: str
    namespace: str
    namespace_uid: str
    workload: str = ""
    consumer: Object | None = None

    def encode(self) -> str:
        """Return the value of the annotation."""
        content = {
            "cluster": self.cluster,
            "namespace": self.namespace,
            "namespaceUID": self.namespace_uid,
            "workload": self.workload,
            "consumerRef": self.consumer,
        }
        return orjson.dumps({key: value for key, value in content.items() if value}, option=orjson.OPT_SORT_KEYS).decode()


def adoption_of(bmh: Object) -> Adoption | None:
    """Return the adoption that the host records, or None. A record that cannot be read is ignored.
    So is a record without the uid of its namespace, because a later namespace may have the name."""
    try:
        found = orjson.loads(annotations_of(bmh).get(names.ADOPTION) or "null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not (found.get("namespace") and found.get("namespaceUID")):
        return None
    consumer = found.get("consumerRef")
    cluster, namespace, uid, workload = (str(found.get(key) or "") for key in ("cluster", "namespace", "namespaceUID", "workload"))
    return Adoption(cluster, namespace, uid, workload, consumer if isinstance(consumer, dict) else None)


def marked(bmh: Object, identity: Identity) -> Adoption | None:
    """Return the adoption that may begin, or None if the host is not as it was when it was
    marked."""
    record = adoption_of(bmh)
    if record is None or not identity.owns(record.cluster) or deleting(bmh) or names.WORKLOAD_UID in labels_of(bmh):
        return None
    spec = bmh.get("spec") or {}
    same = (spec.get("consumerRef") or None) == record.consumer
    return record if same and (record.consumer or record.workload) and _runs(spec) else None


def _runs(spec: Object) -> bool:
    return bool(spec.get("image") or spec.get("customDeploy"))


def adopted_claim(bmh: Object, identity: Identity) -> Object | None:
    """Return the HeldClaim of a host that may be taken over; None if there is nothing to adopt.

    It does not contain the names of the owner's own secrets. It contains those of a consumer's
    secrets, because they move with the consumer."""
    record = marked(bmh, identity)
    if record is None:
        return None
    spec = bmh["spec"]
    shown: Object = {key: spec[key] for key in WORKLOAD_FIELDS if key in spec and (not record.workload or key not in FIRST_BOOT)}
    if record.workload and "image" in shown:
        shown["image"] = without_auth(shown["image"])
    shown["consumerRef"] = workload_reference(record) if record.workload else record.consumer
    held: Object = {"namespace": record.namespace, "namespaceUID": record.namespace_uid, "spec": shown}
    if record.workload:
        return {**held, "recovered": True}
    labels = {key: value for key, value in labels_of(bmh).items() if key in CONSUMER_LABELS}
    return {**held, "labels": labels} if labels else held


def workload_reference(record: Adoption) -> Object:
    """Return the consumerRef of the Workload that the host is given to."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Workload", "namespace": record.namespace, "name": record.workload}


def may_adopt(bmh: Object, workload: Object, identity: Identity) -> bool:
    """Return whether the Workload may take over the host, and has not handed it back before."""
    record = marked(bmh, identity)
    if record is None or record.namespace != namespace_of(workload) or handed_back_by(bmh, workload):
        return False
    if record.workload:
        return record.workload == name_of(workload)
    return annotations_of(workload).get(ADOPTS) == adopted_consumer(record.consumer or {})


def handed_back_by(bmh: Object, workload: Object) -> bool:
    """Return whether the Workload had the host, and its owner has taken it back unchanged."""
    return uid_of(workload) in annotations_of(bmh).get(names.HANDED_BACK, "").split(",")


def runs_adopted(bmh: Object, image: Object | None, custom_deploy: Object | None) -> bool:
    """Return whether the host is adopted, and the wanted image and customDeploy are what it runs
    already."""
    spec = bmh.get("spec") or {}
    same = _filled(spec.get("image")) == _filled(image) and _filled(spec.get("customDeploy")) == _filled(custom_deploy)
    return names.ADOPTION in annotations_of(bmh) and same and _runs(spec)


def _filled(value: Object | None) -> Object:
    return {key: content for key, content in (value or {}).items() if content and key != IMAGE_AUTH}


def ended(bmh: Object) -> Object:
    """Return the metadata to change when an adopted host is installed again or released."""
    if names.ADOPTION not in annotations_of(bmh):
        return {"labels": {}, "annotations": {}}
    labels = {key: None for key in CONSUMER_LABELS if key in labels_of(bmh)}
    return {"labels": labels, "annotations": {names.ADOPTION: None}}


def resumed(bmh: Object) -> Object:
    """Return the annotations to change when a consumer that has moved takes its host over.

    CAPM3 paused the host for the move. After the move, it resumes only the view."""
    record = adoption_of(bmh)
    paused = record is not None and not record.workload and annotations_of(bmh).get(names.PAUSED) == CAPM3
    return {names.PAUSED: None} if paused else {}
