"""Build the members of a set, compare them with its template, and judge their states. No I/O."""

from __future__ import annotations

import hashlib
import math
import re
from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError

from apiserver.apis.names import FIRST_BOOT
from apiserver.apis.workload import CHOICE, WorkloadSpec
from apiserver.client.clock import seconds_of
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, matches, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.gangcounts import has_host
from controllers.owners import controller_of
from controllers.runtime.conditions import find_condition, is_true

INSTALLED = ("image", "customDeploy", *FIRST_BOOT)
"""The fields of spec that a machine reads only when it is installed."""
NOT_THE_TEMPLATES = ("className", "hostRef", "consumerRef", "gang")
"""The fields of a member's spec that the server or another client fills in if the template leaves
them out."""
NO_REVISION = ("gang", "lease")
"""The fields of a template that reach members without an update."""
_ORDINAL = re.compile(r"0|[1-9][0-9]{0,3}")


def member_name(set_: Object, ordinal: int) -> str:
    """Return the name of the set's member with this number."""
    return f"{name_of(set_)}-{ordinal}"


def ordinal_of(set_: Object, member: Object) -> int | None:
    """Return the number of a Workload that has a member's name, or None."""
    prefix, _, number = name_of(member).rpartition("-")
    return int(number) if prefix == name_of(set_) and _ORDINAL.fullmatch(number) else None


def owner_reference(set_: Object) -> Object:
    """Return the reference by which the set controls a member."""
    return {
        "apiVersion": kinds.SETS.api_version,
        "kind": kinds.SETS.kind,
        "name": name_of(set_),
        "uid": uid_of(set_),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def revision_of(spec: Object) -> str:
    """Return a digest of the spec, which is equal for equal specs.

    Defaults are left out. So the revision stays when a later version adds a field or stores a
    default, and no machine is installed again because of an upgrade."""
    content = orjson.dumps(_explicit(spec), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:10]


def _explicit(spec: Object) -> Object:
    """Return the fields of the spec that differ from their defaults."""
    try:
        found: Object = WorkloadSpec.decode(spec).model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    except ValidationError:
        found = dict(spec)  # stored by another version
    return {key: value for key, value in found.items() if key not in NO_REVISION}


def adopted_revision(set_: Object, workload: Object) -> str:
    """Return the revision of a Workload that no set made.

    The revision is the template's if the machine runs what the template asks for, however the rest
    differs. An adoption is no reason to install a machine again."""
    template, spec = set_["spec"]["template"]["spec"], workload["spec"]
    return revision_of(template if _deployment(spec) == _deployment(template) else spec)


def _deployment(spec: Object) -> tuple[object, object]:
    """Return what runs. As in BMO, an image is identified by its URL."""
    return (spec.get("image") or {}).get("url"), (spec.get("customDeploy") or {}).get("method")


def gang_of(set_: Object) -> Object | None:
    """Return the gang of the members, None without one."""
    least, given = set_["spec"].get("minAvailable"), set_["spec"]["template"]["spec"].get("gang")
    return {"name": name_of(set_), "minAvailable": least} if least else given


def new_member(set_: Object, ordinal: int) -> Object:
    """Return the Workload to create."""
    template = set_["spec"]["template"]
    metadata: dict[str, Any] = {
        "name": member_name(set_, ordinal),
        "namespace": namespace_of(set_),
        "labels": {**_part(template, "labels"), kinds.TEMPLATE_REVISION: revision_of(template["spec"])},
        "ownerReferences": [owner_reference(set_)],
    }
    if annotations := _part(template, "annotations"):
        metadata["annotations"] = annotations
    spec = {**template["spec"], **({"gang": gang} if (gang := gang_of(set_)) else {})}
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": kinds.WORKLOADS.kind, "metadata": metadata, "spec": spec}


def _part(template: Object, field: str) -> dict[str, str]:
    """Return the template's labels or annotations, without the label that sets write."""
    found: dict[str, str] = (template.get("metadata") or {}).get(field) or {}
    return {key: value for key, value in found.items() if key != kinds.TEMPLATE_REVISION}


def is_adoptable(set_: Object, workload: Object) -> bool:
    """Return whether the Workload, which has a member's name, may become a member.

    A Workload that a claim through the view has created belongs to that claim."""
    free = controller_of(workload) is None and not deleting(workload) and kinds.CLAIMED_THROUGH not in labels_of(workload)
    return free and matches(set_["spec"]["selector"], labels_of(workload))


def adopting_patch(set_: Object, workload: Object) -> Object:
    """Return the merge patch that makes the Workload a member."""
    owners = [*(workload["metadata"].get("ownerReferences") or ()), owner_reference(set_)]
    patch: Object = {"metadata": {**_version(workload), "ownerReferences": owners}}
    if kinds.TEMPLATE_REVISION not in labels_of(workload):
        patch["metadata"]["labels"] = {kinds.TEMPLATE_REVISION: adopted_revision(set_, workload)}
    return patch


def releasing_patch(set_: Object, member: Object) -> Object:
    """Return the merge patch that makes a member a Workload of its own."""
    owners = [owner for owner in member["metadata"].get("ownerReferences") or () if owner.get("uid") != uid_of(set_)]
    return {"metadata": {**_version(member), "ownerReferences": owners or None}}


def light_patch(set_: Object, member: Object) -> Object | None:
    """Return the merge patch of what may change without touching the machine, or None.

    These are the template's labels and annotations, the gang, and a longer lease. A member never
    gets a shorter one, because it may have been extended by itself."""
    template, metadata = set_["spec"]["template"], {}
    for field, present in (("labels", labels_of(member)), ("annotations", annotations_of(member))):
        if missing := {key: value for key, value in _part(template, field).items() if present.get(key) != value}:
            metadata[field] = missing
    spec: Object = {}
    gang, present = gang_of(set_), member["spec"].get("gang")
    if gang != present and (gang is not None or (present or {}).get("name") == name_of(set_)):
        spec["gang"] = gang
    lease = template["spec"].get("lease")
    if lease and lease != member["spec"].get("lease") and lease["durationSeconds"] > _lease_seconds(member):
        spec["lease"] = lease
    if not metadata and not spec:
        return None
    return {"metadata": {**_version(member), **metadata}, **({"spec": spec} if spec else {})}


def _lease_seconds(member: Object) -> float:
    """Return the length of the member's lease in seconds, from its own spec or from its class."""
    if not has_host(member):
        return 0
    lease = (member.get("status") or {}).get("lease")
    if not lease:
        return math.inf
    return seconds_of(lease["expirationTimestamp"]) - seconds_of(lease["startTime"])


def is_between(member: Object) -> bool:
    """Return whether the member is being emptied for another template."""
    return kinds.TEMPLATE_REVISION not in labels_of(member)


def is_replaced(set_: Object, member: Object) -> bool:
    """Return whether the template asks for another host, so that another Workload is needed."""
    wanted, present = set_["spec"]["template"]["spec"], member["spec"]
    fields = [field for field in CHOICE if field in wanted or field not in NOT_THE_TEMPLATES]
    return has_host(member) and any(wanted.get(field) != present.get(field) for field in fields)


def update_patch(set_: Object, member: Object) -> Object | None:
    """Return the next merge patch of an outdated member that keeps its host; None while it waits.

    A machine reads only once what it is to run, so it is emptied first and installed again after
    that. The removal of the image is the consent to wipe the disks, whatever the member's
    updatePolicy."""
    template, present = set_["spec"]["template"]["spec"], member["spec"]
    wanted = {field: value for field, value in template.items() if field != "lease"}
    reinstalls = has_host(member) and any(wanted.get(field) != present.get(field) for field in INSTALLED)
    if reinstalls and (present.get("image") or present.get("customDeploy")):
        metadata = {**_version(member), "labels": {kinds.TEMPLATE_REVISION: None}}
        return {"metadata": metadata, "spec": {"image": None, "customDeploy": None}}
    if reinstalls and not is_empty(member):
        return None
    kept = ["lease", *(field for field in NOT_THE_TEMPLATES if field not in wanted)]
    metadata = {**_version(member), "labels": {kinds.TEMPLATE_REVISION: revision_of(wanted)}}
    return {"metadata": metadata, "spec": _difference({k: v for k, v in present.items() if k not in kept}, wanted)}


def _difference(present: Object, wanted: Object) -> Object:
    """Return the merge patch from one value to the other."""
    patch: Object = {key: None for key in present if key not in wanted}
    for key, value in wanted.items():
        before = present.get(key)
        if before != value:
            patch[key] = _difference(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch


def _version(workload: Object) -> dict[str, str]:
    """Return the precondition that the Workload has not changed since the decision."""
    return {"resourceVersion": workload["metadata"]["resourceVersion"]}


# The state of a member:


def is_lost(member: Object) -> bool:
    """Return whether the member's host was taken back, so that it can never run."""
    return bool((member.get("status") or {}).get("phase") == "Lost") and not has_host(member)


def _is_current(member: Object) -> bool:
    return bool((member.get("status") or {}).get("observedGeneration") == member["metadata"].get("generation"))


def is_empty(member: Object) -> bool:
    """Return whether nothing is on the member's host any more."""
    return _is_current(member) and (member.get("status") or {}).get("phase") == "Bound"


def runs_nothing(member: Object) -> bool:
    """Return whether nothing was installed, so that another template destroys nothing."""
    status = member.get("status") or {}
    return status.get("phase") not in ("Running", "Stopped") and not is_true(status.get("conditions"), "Provisioned")


def is_ready(member: Object) -> bool:
    """Return whether the member is Ready, and its status is about its present spec."""
    return not deleting(member) and _is_current(member) and is_true((member.get("status") or {}).get("conditions"), "Ready")


def is_settled(member: Object) -> bool:
    """Return whether the member has its desired state, including a desired power-off."""
    status = member.get("status") or {}
    off = status.get("phase") == "Stopped" and not member["spec"].get("online", True) and is_true(status.get("conditions"), "Provisioned")
    return is_ready(member) or (off and not deleting(member) and _is_current(member))


def ready_for(member: Object, now: datetime) -> float:
    """Return the seconds for which the member's condition Ready has its status."""
    found = find_condition((member.get("status") or {}).get("conditions"), "Ready")
    if found is None:
        return 0.0
    return (now - datetime.fromisoformat(found["lastTransitionTime"])).total_seconds()
