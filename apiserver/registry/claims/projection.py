"""Compute a tenant's BareMetalHost from the Host, its Workload (or none) and the namespace.

The fields that tenants may see are listed explicitly. The Host's report already contains none of
the owner's data, and only the fields named here are taken from it. The inverse is
apiserver.registry.claims.viewupdate.
"""

from __future__ import annotations

from typing import Any

from apiserver.apis.host import WORKLOAD_FIELDS, uid_of_view
from apiserver.apis.metal3 import PROVISIONING_FIELDS
from apiserver.apis.names import CLAIMED_THROUGH
from apiserver.apis.workload import IDLE_PHASES
from apiserver.registry.claims import conditions

_HOST_SPEC = ("architecture", "bootMACAddress", "bootMode", "disablePowerOff", "hardwareProfile", "rootDeviceHints")
_HOST_STATUS = ("operationalStatus", "errorType", "errorMessage", "errorCount", "hardwareProfile", "poweredOn", "lastUpdated", "hardware")
_TENANT_PROVISIONING = ("image", "customDeploy")


def host_of(view: dict[str, Any]) -> str:
    """Return the name of the Host that a view shows."""
    name: str = view["status"]["provisioning"]["ID"]
    return name


def claimed_by(host: dict[str, Any], namespace: str) -> bool:
    """Return whether a Workload of this namespace claims the host."""
    claim = host["spec"].get("claimRef")
    return claim is not None and claim["namespace"] == namespace


def held_for(host: dict[str, Any], namespace: str) -> dict[str, Any] | None:
    """Return the claim that the host's source knows, or None.

    The claim must be of a consumer in this namespace, and the host must be unclaimed here."""
    held: dict[str, Any] | None = (host.get("status") or {}).get("held")
    return held if held is not None and held["namespace"] == namespace and not host["spec"].get("claimRef") else None


def project(host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str) -> dict[str, Any]:
    """Return the view of `host` in `namespace` under `name`.

    The result lacks the fields that the system sets at the write (resourceVersion, generation,
    creationTimestamp, deletionTimestamp). Its conditions lack the fields that `conditions.complete`
    adds. `workload` is the Workload that has the host; None for a free host, or if the Workload is
    gone."""
    claimed, held = claimed_by(host, namespace), held_for(host, namespace)
    report = host["status"]["report"]
    tenant = (host["spec"].get("view") or {}) if claimed else held or {}
    spec = _spec(report["spec"], workload if claimed else None)
    if held is not None:
        spec |= {field: held["spec"][field] for field in WORKLOAD_FIELDS if field in held["spec"]}
    return {
        "metadata": _metadata(host, report, namespace, name, tenant),
        "spec": spec,
        "status": _status(host, report["status"], workload, claimed=claimed, held=held is not None),
    }


def projection_inputs(workload: dict[str, Any]) -> tuple[object, ...]:
    """Return the part of a Workload that `project` uses. Most of the status is not in it.

    Two Workloads with equal parts have the same view."""
    meta = workload["metadata"]
    made_by_claim = CLAIMED_THROUGH in (meta.get("labels") or {})
    shown = wants_deprovisioning(workload), is_stolen(workload), _was_passed_on(workload)
    return workload["apiVersion"], meta["namespace"], meta["name"], made_by_claim, workload["spec"], *shown


def _metadata(host: dict[str, Any], report: dict[str, Any], namespace: str, name: str, tenant: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": uid_of_view(host["spec"]["source"], namespace)}
    for field, removed in (("labels", "removedLabels"), ("annotations", "removedAnnotations")):
        hidden = set(tenant.get(removed) or ())
        merged = {k: v for k, v in (report.get(field) or {}).items() if k not in hidden} | (tenant.get(field) or {})
        if merged:
            metadata[field] = merged
    for field in ("ownerReferences", "finalizers"):
        if tenant.get(field):
            metadata[field] = tenant[field]
    return metadata


def _spec(host_spec: dict[str, Any], workload: dict[str, Any] | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"online": host_spec.get("online", False), "bmc": {"address": "", "credentialsName": ""}}
    spec |= {field: host_spec[field] for field in _HOST_SPEC if field in host_spec}
    if "automatedCleaningMode" in host_spec:
        spec["automatedCleaningMode"] = host_spec["automatedCleaningMode"]
    if workload is None:
        return spec
    wanted = workload["spec"]
    spec |= {field: wanted[field] for field in WORKLOAD_FIELDS if field in wanted}
    if "consumerRef" not in spec and CLAIMED_THROUGH not in (workload["metadata"].get("labels") or {}):
        meta = workload["metadata"]
        reference = {"kind": "Workload", "namespace": meta["namespace"], "name": meta["name"], "apiVersion": workload["apiVersion"]}
        spec["consumerRef"] = reference
    return spec


def _status(
    host: dict[str, Any], reported: dict[str, Any], workload: dict[str, Any] | None, *, claimed: bool, held: bool
) -> dict[str, Any]:
    status = {field: reported[field] for field in _HOST_STATUS if field in reported}
    history = reported.get("operationHistory") if held else _own_history(host, reported) if claimed else None
    if history:
        status["operationHistory"] = history
    provisioning = reported["provisioning"]
    kept = PROVISIONING_FIELDS + (_TENANT_PROVISIONING if held or (claimed and workload is not None) else ())
    status["provisioning"] = {field: provisioning[field] for field in kept if field in provisioning}
    status["provisioning"]["ID"] = host["metadata"]["name"]
    if claimed and "provisioningFailCount" in reported:
        status["provisioningFailCount"] = reported["provisioningFailCount"]
    status["conditions"] = conditions.shown(reported, settled=not claimed or _is_settled(workload, provisioning))
    if claimed and wants_deprovisioning(workload):
        status["provisioning"]["state"] = "deprovisioning"
        status["conditions"] = conditions.of_state(reported, "deprovisioning")
    elif claimed and is_stolen(workload):
        status = {**status, **_STOLEN, "provisioning": {**status["provisioning"], "state": "available"}}
        for field in _TENANT_PROVISIONING:
            status["provisioning"].pop(field, None)
        status["conditions"] = conditions.of_gone(status)
    return status


def _is_settled(workload: dict[str, Any] | None, provisioning: dict[str, Any]) -> bool:
    """Return whether the host's report is about the deployment that the Workload requests now.

    A report that is a moment old may still show the deployment from before the last change."""
    if workload is None or not _was_passed_on(workload):
        return workload is None
    if provisioning.get("state") != "provisioned":
        return True
    return all(
        ((provisioning.get(field) or {}).get(key) or None) == ((workload["spec"].get(field) or {}).get(key) or None)
        for field, key in _IDENTIFIED_BY
        if field in workload["spec"]
    )


_IDENTIFIED_BY = (("image", "url"), ("customDeploy", "method"))
"""The fields by which BMO distinguishes two deployments."""


def _was_passed_on(workload: dict[str, Any]) -> bool:
    """Return whether the controllers have written the Workload's present spec to the host."""
    generation = workload["metadata"].get("generation")
    found = (workload.get("status") or {}).get("conditions") or ()
    return any((c.get("type"), c.get("status"), c.get("observedGeneration")) == ("Synchronized", "True", generation) for c in found)


def _own_history(host: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    """Return the operations since the claim: those whose start differs from the start recorded
    then.

    So the clocks of two machines are never compared. A claim without this record shows no
    operations."""
    earlier = host["spec"].get("earlier")
    if earlier is None:
        return {}
    history = reported.get("operationHistory") or {}
    return {name: operation for name, operation in history.items() if earlier.get(name) != ((operation or {}).get("start") or "")}


_STOLEN = {
    "operationalStatus": "error",
    "errorType": "registration error",
    "errorMessage": "another consumer uses the machine at its source: to keep the host, ask the hardware's owner to clear spec.consumerRef "
    "there; deleting this BareMetalHost gives the host up, and another one can be chosen",
}
"""The fields of a view whose claimant has lost the host.

The state is `available`, because the system that runs there is not the claimant's. The claimant
must not mistake it for its own, and may release the host at once."""


def is_stolen(workload: dict[str, Any] | None) -> bool:
    """Return whether another consumer has the Workload's real host.

    The controllers report that in the condition Bound."""
    conditions = ((workload or {}).get("status") or {}).get("conditions") or ()
    return any((c.get("type"), c.get("status"), c.get("reason")) == ("Bound", "False", "HostTaken") for c in conditions)


def wants_deprovisioning(workload: dict[str, Any] | None) -> bool:
    """Return whether the host is being deprovisioned, or is about to be.

    The view then says `deprovisioning` until the real host is deprovisioned. CAPM3 would release a
    host at once that it sees available (delete of a Metal3Machine, step 2). The
    Workload's phase leaves Pending and Bound before the real host receives a request. It returns to
    Bound after the real host was seen empty, so that a stale report cannot pass for an empty
    host."""
    if workload is None or "deletionTimestamp" in workload["metadata"]:
        return True
    spec = workload["spec"]
    wanted = "image" in spec or "customDeploy" in spec
    return not wanted and (workload.get("status") or {}).get("phase") not in IDLE_PHASES
