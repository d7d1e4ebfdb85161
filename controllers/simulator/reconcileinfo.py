"""Hold what one reconciliation of a host may read, and how it may change the host, as BMO's
reconcileInfo does.

A reconciliation changes either metadata and spec, or the status, never both
(`ReconcileInfo.metadata_changed` ends it). BMO does the same, because each is a separate write, and
the process may be killed between two writes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from apiserver.apis.metal3 import BareMetalHost, BareMetalHostSpec, BareMetalHostStatus, ErrorType, OperationHistory, OperationMetric
from controllers.simulator import faults
from controllers.simulator.secrets import Secrets
from controllers.simulator.settings import Settings

AGAIN = 0.0
"""Continue at once, because there is more to do."""
FOREVER = math.inf
"""Wait until the host or one of its secrets changes."""

OPERATIONS = {"registering": "register_", "inspecting": "inspect", "provisioning": "provision", "deprovisioning": "deprovision"}


@dataclass(frozen=True, slots=True)
class Progress:
    """Holds the current activity of the hardware and when it began (seconds since the epoch).

    `failing`: a requested failure was already counted, but not yet reported. This is kept in memory
    only: after a restart, the operation begins again."""

    activity: str
    began: float
    failing: bool = False


@dataclass
class ReconcileInfo:
    """Holds the state of one reconciliation. `host` is a copy, always with a status. `events` are
    (reason, message)."""

    host: BareMetalHost
    secrets: Secrets
    settings: Settings
    now: float
    progress: Progress | None
    metadata_changed: bool = False
    events: list[tuple[str, str]] = field(default_factory=list)

    @property
    def spec(self) -> BareMetalHostSpec:
        return self.host.spec

    @property
    def status(self) -> BareMetalHostStatus:
        assert self.host.status is not None
        return self.host.status

    @property
    def state(self) -> str:
        return self.status.provisioning.state

    @property
    def namespace(self) -> str:
        return self.host.metadata.namespace or ""

    @property
    def stamp(self) -> str:
        """Return the current time in the format of the API."""
        return datetime.fromtimestamp(self.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def annotation(self, key: str) -> str | None:
        return (self.host.metadata.annotations or {}).get(key)

    def set_annotation(self, key: str, value: str | None) -> None:
        """Set or, with None, remove an annotation."""
        annotations = dict(self.host.metadata.annotations or {})
        annotations.pop(key, None)
        if value is not None:
            annotations[key] = value
        self.host.metadata.annotations = annotations
        self.metadata_changed = True

    def go(self, state: str) -> float:
        """Enter another provisioning state."""
        self._metric(self.state, ends=True)
        self._metric(state, ends=False)
        self.status.provisioning.state = state
        if state in {"registering", "inspecting", "provisioning"}:
            self.status.provisioning.boot_mode = self.spec.boot_mode or "UEFI"
        self.progress = None
        return AGAIN

    def wait(self, activity: str, seconds: float) -> float:
        """Return how long the activity still takes. Begin it if the hardware was doing something
        else."""
        if self.progress is None or self.progress.activity != activity:
            self.progress = Progress(activity, self.now)
        return max(0.0, self.progress.began + seconds - self.now)

    def work(self, activity: str, seconds: float, operation: str, error: ErrorType, message: str) -> float | None:
        """Perform an operation that takes time, may be made to fail, and is retried forever.

        Returns None when it is done."""
        if self.status.error_type is not None:
            if remaining := self.wait(f"retry {self.status.error_count}", self.settings.backoff(self.status.error_count)):
                return remaining
            self.clear_error()
            self.wait(activity, seconds)
            return AGAIN
        if remaining := self.wait(activity, seconds):
            return remaining
        return self.fail_on_demand(operation, error, message)

    def fail_on_demand(self, operation: str, error: ErrorType, message: str) -> float | None:
        """Fail if the annotation requests it: first count down, then report the failure."""
        value = self.annotation(faults.ANNOTATION) or ""
        if self.progress is None or not self.progress.failing:
            times = faults.demanded(value, operation)
            if times == 0:
                return None
            if times is not None:
                self.progress = replace(self.progress or Progress(operation, self.now), failing=True)
                self.set_annotation(faults.ANNOTATION, faults.countdown(value, operation))
                return AGAIN
        self.set_error(error, message)
        return AGAIN

    def set_error(self, error: ErrorType, message: str) -> None:
        """Report a failure, as BMO's setErrorMessage and its event do."""
        self.status.operational_status = "error"
        self.status.error_type = error
        self.status.error_message = message
        self.status.error_count += 1
        self.events.append(("".join(word.capitalize() for word in error.split()), message))
        self.progress = None

    def clear_error(self) -> None:
        """Clear the error. The count stays until an operation has succeeded."""
        self.status.operational_status = "OK"
        self.status.error_type = None
        self.status.error_message = ""

    def _metric(self, state: str, *, ends: bool) -> None:
        operation = OPERATIONS.get(state)
        if operation is None:
            return
        history = self.status.operation_history or OperationHistory()
        metric: OperationMetric | None = getattr(history, operation)
        running = metric is not None and metric.start is not None and metric.end is None
        if ends and metric is not None and running:
            setattr(history, operation, OperationMetric(start=metric.start, end=self.stamp))
        elif not ends and not running:
            setattr(history, operation, OperationMetric(start=self.stamp))
        self.status.operation_history = history
