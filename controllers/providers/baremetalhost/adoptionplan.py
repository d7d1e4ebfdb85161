"""Decide which hosts may be adopted, and compute the writes of an adoption and of its undoing."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from apiserver.apis.host import adopted_consumer
from apiserver.apis.images import MISSING_CHECKSUM, missing_checksum
from apiserver.apis.names import ADOPTS, FIRST_BOOT
from apiserver.apis.wording import sentence
from apiserver.apis.workload import Workload, host_of
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.classaccess import not_allowed
from controllers.move.plan import is_cluster_apis
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adoptionrecord import CAPM3, Adoption, adoption_of, workload_reference
from controllers.providers.baremetalhost.desired import DEPLOYED, passed_annotations
from controllers.providers.baremetalhost.record import without_auth

OTHERS = ("Workload", "HostClaim")
"""The kinds of consumers that cannot move here, because other controllers own them."""


def obstacle(bmh: Object, host: Object | None, wanted: Adoption, class_: Object) -> str | None:
    """Return why the host is not adopted, and what to do; None if it can be adopted.

    `host` is its Host in the management cluster."""
    return _unseen(host, class_) or _taken(bmh, host, wanted) or _unfit(bmh) or _elsewhere(bmh, wanted) or _forbidden(bmh, wanted, class_)


def _unseen(host: Object | None, class_: Object) -> str | None:
    if host is None:
        return "the controllers have not reported it: see that the class is Connected, and that its hostSelector selects the host"
    if host["spec"]["className"] != name_of(class_):
        return f"it belongs to the class {host['spec']['className']}: name that one with --class"
    return None


def _taken(bmh: Object, host: Object | None, wanted: Adoption) -> str | None:
    claim = ((host or {}).get("spec") or {}).get("claimRef")
    if claim:
        return f"the Workload {claim['namespace']}/{claim['name']} has it already"
    record = adoption_of(bmh)
    if record is not None and record != wanted:
        who = f"the Workload {record.namespace}/{record.workload}" if record.workload else f"its consumer in {record.namespace}"
        return f"it is marked for {who}: take that back first with --undo --namespace {record.namespace}"
    if record is None and wanted.consumer is not None and wanted.consumer.get("kind") in OTHERS:
        return f"{_who(wanted.consumer)} has it, which cannot move: the host can be adopted when spec.consumerRef is gone"
    return None


def _unfit(bmh: Object) -> str | None:
    """Return what is wrong with the host itself."""
    spec, status, annotations = bmh["spec"], bmh.get("status") or {}, annotations_of(bmh)
    state = (status.get("provisioning") or {}).get("state") or "not registered yet"
    consumer, paused = spec.get("consumerRef"), annotations.get(names.PAUSED)
    checks = (
        (deleting(bmh), "it is being deleted"),
        (
            status.get("operationalStatus") == "error" or status.get("errorType") or status.get("errorMessage"),
            f"it reports a {status.get('errorType') or 'problem'}: repair it first, see status.errorMessage of the real host",
        ),
        (names.DETACHED in annotations, f"it is detached: remove the annotation {names.DETACHED} first"),
        (
            paused is not None and not (consumer and paused == CAPM3),
            f"its owner has paused it: remove the annotation {names.PAUSED} first",
        ),
        (
            spec.get("externallyProvisioned"),
            "it is externally provisioned, so no record says what to install on it: a Workload could not describe it",
        ),
        (
            state == "available" and not consumer and not any(spec.get(field) for field in DEPLOYED),
            "it is free: the class offers it, and nothing has to be adopted",
        ),
        (
            state != "provisioned" or not any(spec.get(field) for field in DEPLOYED),
            f"its state is {state}: it can be adopted when it is provisioned",
        ),
    )
    return next((text for problem, text in checks if problem), None)


def _elsewhere(bmh: Object, wanted: Adoption) -> str | None:
    """Return what keeps the host's consumer from moving."""
    if wanted.workload:
        return None
    reference = wanted.consumer or {}
    if not wanted.namespace == namespace_of(bmh) == reference.get("namespace"):
        return (
            f"{_who(reference)} has it, in the namespace {namespace_of(bmh)} of the hardware cluster: its names stay true only in a "
            "namespace of that name; use --namespace for it"
        )
    if is_cluster_apis(reference) and annotations_of(bmh).get(names.PAUSED) != CAPM3:
        return (
            f"{_who(reference)} has it, and its Cluster is not paused: set spec.paused of the Cluster, and wait until CAPM3 has put the "
            f"annotation {names.PAUSED} on the host"
        )
    return None


def _forbidden(bmh: Object, wanted: Adoption, class_: Object) -> str | None:
    """Return why no Workload of the class can describe what runs on the host."""
    workload = workload_of(bmh, wanted, class_, secrets=False)
    if missing_checksum(workload["spec"].get("image")):
        return f"a Workload needs a checksum of its image: {MISSING_CHECKSUM} on the real host"
    if (refused := not_allowed(class_, workload)) is not None:
        return f"the class {name_of(class_)} does not allow what runs on it ({refused[1]}): allow it there"
    try:
        Workload.decode(workload)
    except ValidationError as error:
        return f"what runs on it cannot be described by a Workload: {sentence(error.errors(include_url=False)[0])}"
    return None


def _who(reference: Object) -> str:
    return f"{reference.get('kind')} {reference.get('namespace')}/{reference.get('name')}"


def name_conflict(described: Object, present: Object | None, view: Object | None, host: Object | None, wanted: Adoption) -> str | None:
    """Return which object of the management cluster has a name that the adoption needs.

    `present` is the Workload and `view` the BareMetalHost that have the names now, or None. The
    tenant may have created the Workload already, which then waits for a host. It must want what
    runs on the host, as the Workload `described` does."""
    if wanted.workload and present is not None and (problem := _other(described, present)):
        return f"the Workload {wanted.namespace}/{wanted.workload} {problem}: choose another name with --name"
    shown = ((view or {}).get("status") or {}).get("provisioning") or {}
    if not wanted.workload and view is not None and host is not None and shown.get("ID") != name_of(host):
        return (
            f"the namespace {wanted.namespace} has a BareMetalHost of this name, which is another machine: the owner of the Host "
            f"{shown.get('ID')} has to rename or reserve that one first (hostSelector of its class)"
        )
    return None


def _other(described: Object, present: Object) -> str:
    """Return what is different about the Workload that is there; "" if it can take over the
    host."""
    if host_of(present):
        return "has another host"
    if deleting(present):
        return "is being deleted"
    found, wanted = present["spec"], described["spec"]
    defaults: Object = {"online": True, "className": wanted["className"]}
    fields = ("className", "image", "customDeploy", "online")
    different = [field for field in fields if found.get(field, defaults.get(field)) != wanted.get(field, defaults.get(field))]
    return f"is not what runs on the host (spec.{different[0]})" if different else ""


def workload_of(bmh: Object, wanted: Adoption, class_: Object, *, secrets: bool) -> Object:
    """Return the Workload that describes what runs on the host.

    With `secrets`, it names the owner's secrets, which must have been copied to its namespace."""
    spec = bmh["spec"]
    kept = ("image", "customDeploy", "online", "automatedCleaningMode")
    wishes: Object = {key: spec[key] for key in kept if spec.get(key) is not None}
    if "image" in wishes:
        wishes["image"] = without_auth(wishes["image"])
    if secrets:
        wishes |= {field: {"name": spec[field]["name"]} for field in FIRST_BOOT if (spec.get(field) or {}).get("name")}
    # The annotation keeps the scheduler from choosing another host if this one is not available.
    consumer = workload_reference(wanted) if wanted.workload else wanted.consumer or {}
    metadata = {"name": wanted.workload or name_of(bmh), "namespace": wanted.namespace, "annotations": {ADOPTS: adopted_consumer(consumer)}}
    return {
        "apiVersion": kinds.WORKLOADS.api_version,
        "kind": "Workload",
        "metadata": metadata,
        "spec": {"className": name_of(class_), **wishes},
    }


def described(bmh: Object, wanted: Adoption, secrets: Sequence[str]) -> str:
    """Return what is going to happen to the host, for the owner to check."""
    spec = bmh["spec"]
    image, method = (spec.get("image") or {}).get("url"), (spec.get("customDeploy") or {}).get("method")
    what = f"image {image}" if image else f"deploy method {method}"
    if not wanted.workload:
        return f"{_who(wanted.consumer or {})} keeps it as it runs ({what}), and takes it over with its first write after its move"
    copied = f", with copies of the secrets {', '.join(secrets)}" if secrets else ""
    return f"the Workload {wanted.namespace}/{wanted.workload} gets it as it runs ({what}{copied})"


def _conditional(bmh: Object, metadata: Object) -> Object:
    """Return the metadata of a patch, which the server refuses if the host has changed since it was
    read."""
    return {"resourceVersion": bmh["metadata"]["resourceVersion"], "uid": uid_of(bmh), **metadata}


def marking_patch(bmh: Object, wanted: Adoption) -> Object:
    """Return the merge patch of the real host that lets the adoption begin.

    References to owners of Cluster API are removed: these objects leave the hardware cluster, and
    the garbage collector would then delete the host."""
    metadata: Object = {"annotations": {names.ADOPTION: wanted.encode()}}
    owners = bmh["metadata"].get("ownerReferences") or []
    staying = [owner for owner in owners if not is_cluster_apis(owner)]
    if staying != owners:
        metadata["ownerReferences"] = staying or None
    return {"metadata": _conditional(bmh, metadata)}


def unmarking_patch(bmh: Object) -> Object:
    """Return the merge patch of a host that is marked for a tenant, but was not taken over."""
    return {"metadata": _conditional(bmh, {"annotations": {names.ADOPTION: None}})}


def waits_for(workload: Object, record: Adoption) -> bool:
    """Return whether the Workload waits for this machine only, so that it is deleted with the mark.

    A Workload that a tenant created itself may get another machine."""
    own = annotations_of(workload).get(ADOPTS) == adopted_consumer(workload_reference(record))
    return own and not host_of(workload) and not deleting(workload)


def is_free_or_on(workload: Object, uids: Sequence[str]) -> bool:
    """Return whether the Workload has no machine, or the one whose view has one of these uids.

    Any user of the hardware cluster with write access can name a Workload on any host."""
    host = host_of(workload)
    return not host or host.get("uid") in uids


def undo_obstacle(bmh: Object, host: Object | None, workload: Object | None, record: Adoption) -> str | None:
    """Return why an adopted host cannot be handed back as it was, and what to do."""
    claim = ((host or {}).get("spec") or {}).get("claimRef") or {}
    if workload is None or claim.get("uid") != labels_of(bmh).get(names.WORKLOAD_UID):
        return "the store does not know the Workload that has it: recover it first (metal3-workloads recover)"
    if deleting(workload):
        return f"the Workload {claim['namespace']}/{claim['name']} is being deleted, and the host is being released"
    view = ((host or {}).get("spec") or {}).get("view") or {}
    if not record.workload and is_cluster_apis(record.consumer or {}) and names.PAUSED not in (view.get("annotations") or {}):
        return (
            f"{_who(record.consumer or {})} uses it here, and its Cluster is not paused: set spec.paused of the Cluster, and wait until "
            f"CAPM3 has put the annotation {names.PAUSED} on the BareMetalHost of the management cluster"
        )
    return None


def handing_back_patch(bmh: Object, record: Adoption) -> Object:
    """Return the merge patch of the real host that makes it again what it was before.

    Nothing here has changed the other fields of spec (see `adoption.KEPT`)."""
    uid = labels_of(bmh)[names.WORKLOAD_UID]
    marks = (names.ADOPTION, names.MANAGEMENT, names.PASSED, names.RECORD, names.RECOVER)
    reboots = [key for key in passed_annotations(bmh) if names.is_reboot(key)]
    gone: Object = {key: None for key in (*marks, *reboots) if key in annotations_of(bmh)}
    metadata: Object = {"labels": {names.WORKLOAD_UID: None}, "annotations": {**gone, names.HANDED_BACK: uid}}
    before = {**dict.fromkeys(bmh["spec"].get("consumerRef") or {}), **record.consumer} if record.consumer else None
    return {"metadata": _conditional(bmh, metadata), "spec": {"consumerRef": before}}
