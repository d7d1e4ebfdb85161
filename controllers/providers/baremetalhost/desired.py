"""Compute what a Workload wants of a real host, as merge patches that hold only the differences.

There are two patches: `claimed_patch` while a Workload has the host, and `released_patch` to empty
it. Every write states a resourceVersion, which the caller adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from apiserver.apis.metal3 import IMAGE_FIELDS
from apiserver.apis.names import FIRST_BOOT, IMAGE_AUTH
from apiserver.apis.workloadclass import CleaningPolicy
from apiserver.client.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adoptionrecord import KEPT, ended, resumed, runs_adopted

DEPLOYED = ("image", "customDeploy")
"""The fields of spec that say what runs on a host."""
MARK = 256
"""The most characters of a tenant's mark that are passed on. CAPM3 writes a few words."""


@dataclass(frozen=True, slots=True)
class Desired:
    """Hold the desired state of the real host. `secrets` has the name of the copied secret for each
    reference field."""

    consumer: Object
    workload_uid: str
    online: bool
    cleaning: str | None
    image: Object | None = None
    custom_deploy: Object | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    record: str = ""


def runs_something(workload: Object) -> bool:
    """Return whether an operating system is to be on the host."""
    spec = workload["spec"]
    return bool(spec.get("image") or spec.get("customDeploy"))


def consumer_reference(workload: Object) -> Object:
    """Return the real host's consumerRef: the Workload's name and namespace in its own management
    cluster."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "namespace": namespace_of(workload),
        "name": name_of(workload),
    }


def is_claimed_by(bmh: Object, workload: Object) -> bool:
    """Return whether this very Workload has the real host.

    The label distinguishes Workloads of the same name: from another management cluster, or from
    before a deletion. The reference may also contain the uid."""
    reference = (bmh.get("spec") or {}).get("consumerRef") or {}
    same = {key: value for key, value in reference.items() if key != "uid"} == consumer_reference(workload)
    return same and labels_of(bmh).get(names.WORKLOAD_UID) == uid_of(workload)


def is_recovered_by(bmh: Object, workload: Object) -> bool:
    """Return whether the Workload may recover the host, by the decision of the host's owner.

    Its predecessor, of the same name in a store that was lost, had the host."""
    reference = (bmh.get("spec") or {}).get("consumerRef") or {}
    same = {key: value for key, value in reference.items() if key != "uid"} == consumer_reference(workload)
    return same and bool(recovers(bmh))


def recovers(bmh: Object) -> str:
    """Return the uid of the lost Workload whose successor may take the host over. Return "" if the
    owner has not allowed it, or the successor has the host already."""
    wanted, label = annotations_of(bmh).get(names.RECOVER, ""), labels_of(bmh).get(names.WORKLOAD_UID)
    return wanted if wanted == label else ""


def has_stale_label_of(bmh: Object, workload: Object) -> bool:
    """Return whether a host without a consumer has this Workload's label, and nothing else was put
    on it.

    This is the case if another consumer took the host over and left, or a user cleared the
    consumerRef by mistake. The Workload may take the host again."""
    spec, wanted = bmh.get("spec") or {}, workload["spec"]
    if spec.get("consumerRef") or labels_of(bmh).get(names.WORKLOAD_UID) != uid_of(workload):
        return False
    image, custom = ((spec.get("image") or {}).get("url"), (spec.get("customDeploy") or {}).get("method"))
    same = (image, custom) == ((wanted.get("image") or {}).get("url"), (wanted.get("customDeploy") or {}).get("method"))
    return same or (image, custom) == (None, None)


def cleaning_mode(workload: Object, policy: CleaningPolicy | None) -> str:
    """Return how disks are wiped. The class decides; a tenant may disable wiping only if the class
    allows it."""
    mode = policy.mode if policy and policy.mode != "full" else "metadata"  # BMO has no other mode
    wanted = workload["spec"].get("automatedCleaningMode")
    if wanted == "metadata":
        return "metadata"
    if wanted == "disabled" and policy is not None and policy.tenant_may_disable:
        return "disabled"
    return mode


def desired(
    workload: Object, secrets: Mapping[str, str], annotations: Mapping[str, str], *, cleaning: str, identity: str = "", record: str = ""
) -> Desired:
    """Return what the Workload wants.

    `annotations`: the tenant's annotations; only those for the machine are used."""
    spec = workload["spec"]
    return Desired(
        consumer=consumer_reference(workload),
        workload_uid=uid_of(workload),
        online=bool(spec.get("online", True)),
        cleaning=cleaning,
        image=_image(spec.get("image"), secrets.get(IMAGE_AUTH)),
        custom_deploy=spec.get("customDeploy") or None,
        secrets=secrets if runs_something(workload) else {},
        annotations={key: value for key, value in annotations.items() if names.is_reboot(key) or key in names.UNHEALTHY},
        identity=identity,
        record=record,
    )


def held(bmh: Object, want: Desired) -> Desired:
    """Return the desired state, changed to keep what is on the host.

    The caller uses it if the Workload's secrets or image cannot be used, or cannot be used any
    more."""
    spec = bmh.get("spec") or {}
    current = {key: spec[key]["name"] for key in FIRST_BOOT if (spec.get(key) or {}).get("name")}
    return replace(want, image=spec.get("image"), custom_deploy=spec.get("customDeploy"), secrets=current)


def _image(image: Object | None, auth: str | None) -> Object | None:
    """Return the image, with the copy `auth` of the registry's credentials instead of the tenant's
    secret."""
    # CAPM3 sends `format: ""` for "detect", which BMO's CRD refuses. An absent field means the
    # same.
    if not image:
        return None
    return {key: image[key] for key in IMAGE_FIELDS if image.get(key)} | ({IMAGE_AUTH: auth} if auth else {})


def claimed_patch(bmh: Object, want: Desired) -> Object:
    """Return the merge patch that gives the real host its desired state; empty if it has it
    already.

    An adopted host keeps what its owner wrote, until something else is to be installed."""
    spec: Object = {
        "consumerRef": want.consumer,
        "online": want.online or _stays_on(bmh),
        "automatedCleaningMode": want.cleaning,
        "image": want.image,
        "customDeploy": want.custom_deploy,
        **{key: {"name": want.secrets[key], "namespace": namespace_of(bmh)} if key in want.secrets else None for key in FIRST_BOOT},
    }
    annotations = {**_annotations(bmh, want), **resumed(bmh)}
    labels: Object = {names.WORKLOAD_UID: want.workload_uid}
    if runs_adopted(bmh, want.image, want.custom_deploy):
        spec = {key: value for key, value in spec.items() if key not in KEPT}
    else:
        labels, annotations = ended(bmh)["labels"] | labels, ended(bmh)["annotations"] | annotations
    metadata: Object = {"labels": labels, "annotations": annotations}
    return _prune({"metadata": _difference(bmh["metadata"], metadata), "spec": _difference(bmh.get("spec") or {}, spec)})


def _stays_on(bmh: Object) -> bool:
    """Return whether the machine's owner forbids to power it off.

    BMO then refuses `online: false`, and the whole write with it."""
    return bool((bmh.get("spec") or {}).get("disablePowerOff"))


def never_off(bmh: Object, workload: Object) -> str:
    """Return why the machine stays powered on although the Workload wants it off; "" otherwise."""
    if workload["spec"].get("online", True) or not _stays_on(bmh):
        return ""
    return "the hardware's owner does not let this machine be powered off: set spec.online to true, or ask the owner to allow it"


def _annotations(bmh: Object, want: Desired) -> Object:
    """Return the changes of annotations, so that each annotation of the tenant is passed on once.

    BMO removes a reboot annotation after the reboot. The owner removes an unhealthy annotation
    after the repair. An annotation that the tenant removes is removed from the host too."""
    current, passed = annotations_of(bmh), passed_annotations(bmh)
    changes: Object = {}
    for key, value in want.annotations.items():
        value = value[:MARK] if key in names.UNHEALTHY else value
        if key not in passed or (key in current and current[key] != value):
            changes[key] = value
    for key in passed:
        if key not in want.annotations and key in current:
            changes[key] = None
    changes[names.PASSED] = orjson.dumps(sorted(want.annotations)).decode() if want.annotations else None
    changes[names.MANAGEMENT] = want.identity or None
    changes[names.RECORD] = want.record or None
    return changes


def passed_annotations(bmh: Object) -> list[str]:
    """Return the tenant's annotations that were already passed on to the real host."""
    try:
        value = orjson.loads(annotations_of(bmh).get(names.PASSED) or "[]")
    except orjson.JSONDecodeError:
        return []
    return [key for key in value if isinstance(key, str)] if isinstance(value, list) else []


def consumed_annotations(bmh: Object, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tenant's reboot annotations that BMO has removed from the real host after the
    reboot."""
    passed, current = passed_annotations(bmh), annotations_of(bmh)
    return tuple(sorted(key for key in annotations if names.is_reboot(key) and key in passed and key not in current))


def unhealthy_marks(bmh: Object, annotations: Mapping[str, str]) -> Object:
    """Return the changes of health annotations that the real host does not have yet.

    The tenant added or removed these annotations on its view. They outlive the claim."""
    passed, current = passed_annotations(bmh), annotations_of(bmh)
    gone: Object = {key: None for key in names.UNHEALTHY if key in passed and key in current and key not in annotations}
    new = [key for key in names.UNHEALTHY if key in annotations and key not in passed and key not in current]
    return gone | {key: annotations[key][:MARK] for key in new}


def released_patch(bmh: Object, *, online: bool, cleaning: str | None = None) -> Object:
    """Return the merge patch that empties the host. Our claim stays on the host until it is empty.

    automatedCleaningMode stays as it was applied, because it decides whether the disks are wiped
    now. Nothing was applied to an adopted host, which gets the mode `cleaning`."""
    spec: Object = {"image": None, "customDeploy": None, "online": online or _stays_on(bmh), **dict.fromkeys(FIRST_BOOT)}
    if cleaning is not None and names.ADOPTION in annotations_of(bmh):
        spec["automatedCleaningMode"] = cleaning
    gone = [key for key in annotations_of(bmh) if key == names.PASSED or (names.is_reboot(key) and key in passed_annotations(bmh))]
    metadata: Object = {"annotations": dict.fromkeys(gone)}
    return _prune({"metadata": _difference(bmh["metadata"], metadata), "spec": _difference(bmh.get("spec") or {}, spec)})


def drop_claim_patch(bmh: Object, *, dirty_for: str | None = None, quarantined_by: str | None = None) -> Object:
    """Return the merge patch that removes our claim, which is the last write of a release.

    The patch records whose data is still on the host, if any: `dirty_for` is the value of the
    annotation DIRTY_FOR, and `quarantined_by` that of QUARANTINED."""
    annotations = {names.DIRTY_FOR: dirty_for, **dict.fromkeys((names.MANAGEMENT, names.PASSED, names.RECORD, names.RECOVER))}
    annotations |= ended(bmh)["annotations"]
    if quarantined_by is not None:
        annotations[names.QUARANTINED] = quarantined_by
    metadata: Object = {"labels": {**ended(bmh)["labels"], names.WORKLOAD_UID: None}, "annotations": annotations}
    spec: Object = {"consumerRef": None, **dict.fromkeys(FIRST_BOOT)}
    return _prune({"metadata": _difference(bmh["metadata"], metadata), "spec": _difference(bmh.get("spec") or {}, spec)})


def _difference(current: Object, wanted: Object) -> Object:
    """Return the differences to `wanted` as a merge patch, in which None means absent.

    Nested objects are replaced as a whole, except the maps of metadata."""
    patch: Object = {}
    for key, value in wanted.items():
        old = current.get(key)
        if key in {"labels", "annotations"}:
            if inner := {k: v for k, v in value.items() if (old or {}).get(k) != v}:
                patch[key] = inner
        elif old != value:
            patch[key] = _replacement(old, value)
    return patch


def _replacement(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**{key: None for key in old if key not in new}, **{key: value for key, value in new.items() if old.get(key) != value}}
    return new


def _prune(patch: Object) -> Object:
    return {key: value for key, value in patch.items() if value}
