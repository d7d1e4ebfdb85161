"""Convert a request into the desired state, and into what the tenant reads about it."""

from __future__ import annotations

from typing import Any

from apiserver.client.objects import Object
from controllers.providers.base import ApplyRequest, Outcome, ProviderError
from controllers.providers.machines.driver import Driver
from controllers.providers.machines.flavors import was_provisioned
from controllers.providers.machines.steps import DesiredState


def plan_for(request: ApplyRequest, driver: Driver[Any]) -> tuple[DesiredState, Outcome]:
    """Return the state that the Workload requests, or one that keeps what is there, and the
    reason."""
    spec = request.workload["spec"]
    try:
        if request.blocked is not None and (spec.get("image") or spec.get("customDeploy")):
            return _desired_state(request, driver, held=True), request.blocked
        content = driver.content(request)
    except ProviderError as error:
        return _desired_state(request, driver, held=True), Outcome(False, error.reason, error.message)
    said = Outcome(True, "Synchronized", f"all settings were passed to the machine{content.note}")
    return _desired_state(request, driver, content.image, content.boot), said


def known_desired_state(request: ApplyRequest, driver: Driver[Any]) -> DesiredState:
    """Return the desired state of a request that was planned before, without its secrets.

    The result is for comparisons only; nothing may be created from it."""
    return _desired_state(request, driver, driver.known_image(request.workload["spec"]))


def _desired_state(
    request: ApplyRequest, driver: Driver[Any], image: Object | None = None, boot: object = None, *, held: bool = False
) -> DesiredState:
    return DesiredState(
        online=bool(request.workload["spec"].get("online", True)),
        held=held,
        image=image,
        boot=boot,
        annotations=request.annotations,
        recorded=driver.remembers or driver.reserves or not was_provisioned(request.workload),
        reserved=driver.reserves,
    )
