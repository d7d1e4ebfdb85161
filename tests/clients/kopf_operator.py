"""Define an operator for `kopf run`, as in its documentation: it annotates new Workloads and logs
their changes."""

from __future__ import annotations

from typing import Any

import kopf

KIND = ("workload.metal3.io", "v1alpha1", "workloads")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, logger: Any, **_: Any) -> None:
    """Record the progress in annotations, because the status belongs to the server."""
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="example.com")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="example.com")
    logger.info("the operator is at work")


@kopf.on.create(*KIND)
def created(name: str, patch: kopf.Patch, body: kopf.Body, logger: Any, **_: Any) -> None:
    """Annotate the Workload and create an event."""
    patch.metadata.annotations["example.com/operated"] = "1"
    kopf.event(body, type="Normal", reason="Operated", message="An operator took notice")
    logger.info(f"created {name}")


@kopf.on.update(*KIND, field="spec.online")
def updated(name: str, new: Any, logger: Any, **_: Any) -> None:
    """Log that the power was switched."""
    logger.info(f"updated {name}: online is {new}")


@kopf.on.delete(*KIND)
def deleted(name: str, logger: Any, **_: Any) -> None:
    """Log the deletion. kopf's finalizer holds the object until this is done."""
    logger.info(f"deleted {name}")
