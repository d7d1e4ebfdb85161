"""Convert a request into a wish, and into what the tenant reads about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controllers.providers.base import Outcome, ProviderError
from controllers.providers.machines.flavors import was_provisioned
from controllers.providers.machines.steps import Wish

if TYPE_CHECKING:
    from apiserver.client.objects import Object
    from controllers.providers.base import ApplyRequest
    from controllers.providers.machines.driver import Driver

__all__ = ["known_wish", "plan_for"]


def plan_for(request: ApplyRequest, driver: Driver[Any]) -> tuple[Wish, Outcome]:
    """Return what the Workload wants, or the wish to hold what is there, and the reason."""
    spec = request.workload["spec"]
    try:
        if request.blocked is not None and (spec.get("image") or spec.get("customDeploy")):
            return _wish(request, driver, held=True), request.blocked
        content = driver.content(request)
    except ProviderError as error:
        return _wish(request, driver, held=True), Outcome(False, error.reason, error.message)
    said = Outcome(True, "Synchronized", f"all settings were passed to the machine{content.note}")
    return _wish(request, driver, content.image, content.boot), said


def known_wish(request: ApplyRequest, driver: Driver[Any]) -> Wish:
    """Return the wish of a request that was planned before, without its secrets.

    The result is for comparisons only; nothing may be created from it."""
    return _wish(request, driver, driver.known_image(request.workload["spec"]))


def _wish(request: ApplyRequest, driver: Driver[Any], image: Object | None = None, boot: object = None, *, held: bool = False) -> Wish:
    return Wish(
        online=bool(request.workload["spec"].get("online", True)),
        held=held,
        image=image,
        boot=boot,
        annotations=request.annotations,
        recorded=driver.remembers or driver.reserves or not was_provisioned(request.workload),
        reserved=driver.reserves,
    )
