"""What a Workload wants of its instance, and what is to be said of that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.providers.base import Outcome, ProviderError
from controllers.providers.cloud.images import image_id, user_data
from controllers.providers.cloud.steps import Wish
from controllers.providers.flavors import once_made

if TYPE_CHECKING:
    from controllers.providers.base import ApplyRequest
    from controllers.providers.cloud.driver import Driver
    from controllers.providers.cloud.parameters import Parameters

__all__ = ["known_wish", "plan_for"]


def plan_for(request: ApplyRequest, parameters: Parameters, cloud: Driver) -> tuple[Wish, Outcome]:
    """What the Workload wants; or to hold what is there, and why."""
    spec = request.workload["spec"]
    try:
        if request.blocked is not None and (spec.get("image") or spec.get("customDeploy")):
            return _wish(request, cloud, held=True), request.blocked
        image = image_id(spec, parameters, cloud.scheme)
        data = user_data(request, cloud.most_user_data) if image else b""
        return _wish(request, cloud, image or "", data), _told(request)
    except ProviderError as error:
        return _wish(request, cloud, held=True), Outcome(False, error.reason, error.message)


def known_wish(request: ApplyRequest, cloud: Driver) -> Wish:
    """The wish of a request that was planned before, without its secrets. Good for looking, not for making anything."""
    return _wish(request, cloud, "known")


def _wish(request: ApplyRequest, cloud: Driver, image: str = "", data: bytes = b"", *, held: bool = False) -> Wish:
    spec = request.workload["spec"]
    return Wish(
        online=bool(spec.get("online", True)),
        held=held,
        image_url=(spec.get("image") or {}).get("url", "") if image else "",
        image_id=image,
        user_data=data,
        annotations=request.annotations,
        recorded=cloud.remembers or not once_made(request.workload),
    )


def _told(request: ApplyRequest) -> Outcome:
    note = " (but networkData: a cloud's network is its own)" if "networkData" in request.secrets else ""
    return Outcome(True, "Synchronized", f"all settings were passed to the machine{note}")
