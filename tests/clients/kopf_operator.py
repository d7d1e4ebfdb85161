"""An operator for `kopf run`, as its documentation shows them: it annotates new Workloads and logs
what becomes of them."""

from __future__ import annotations

from typing import Any

import kopf

KIND = ("workload.metal3.io", "v1alpha1", "workloads")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, logger: Any, **_: Any) -> None:
    """What was handled is noted in annotations: the status is the server's."""
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="example.com")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="example.com")
    logger.info("the operator is at work")


@kopf.on.create(*KIND)
def created(name: str, patch: kopf.Patch, body: kopf.Body, logger: Any, **_: Any) -> None:
    """Annotate it and tell of it."""
    patch.metadata.annotations["example.com/operated"] = "1"
    kopf.event(body, type="Normal", reason="Operated", message="An operator took notice")
    logger.info(f"created {name}")


@kopf.on.update(*KIND, field="spec.online")
def updated(name: str, new: Any, logger: Any, **_: Any) -> None:
    """The power was switched."""
    logger.info(f"updated {name}: online is {new}")


@kopf.on.delete(*KIND)
def deleted(name: str, logger: Any, **_: Any) -> None:
    """kopf's finalizer holds the object until this is done."""
    logger.info(f"deleted {name}")
