"""What a Workload wants of its virtual machine, and what is to be said of that. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controllers.providers.base import Outcome, ProviderError
from controllers.providers.kubevirt.images import root_disk
from controllers.providers.kubevirt.seed import seed
from controllers.providers.kubevirt.steps import Wish

if TYPE_CHECKING:
    from controllers.providers.base import ApplyRequest
    from controllers.providers.kubevirt.images import RootDisk
    from controllers.providers.kubevirt.seed import Seed

__all__ = ["Plan", "held", "known_plan", "plan_for"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, with the first-boot data for it, and what is to be said: condition Synchronized."""

    wish: Wish
    seed: Seed | None
    said: Outcome

    def saying(self, said: Outcome) -> Plan:
        """The same, with something else to say."""
        return replace(self, said=said)


def plan_for(request: ApplyRequest, *, verify: bool) -> Plan:
    """The plan; to hold what is there, and why, when the Workload cannot be served as it is."""
    spec = request.workload["spec"]
    try:
        if request.blocked is not None and (spec.get("image") or spec.get("customDeploy")):
            return held(request, request.blocked)
        disk = root_disk(spec, verify=verify)
        return _plan(request, disk, seed(request) if disk is not None else None)
    except ProviderError as error:
        return held(request, Outcome(False, error.reason, error.message))


def known_plan(request: ApplyRequest) -> Plan:
    """The plan of a request that was planned before, without its secrets."""
    return _plan(request, root_disk(request.workload["spec"], verify=False), None)


def held(request: ApplyRequest, why: Outcome) -> Plan:
    """Nothing new is put on the machine, and what is on it stays."""
    online = bool(request.workload["spec"].get("online", True))
    return Plan(Wish(online, held=True, annotations=request.annotations), None, why)


def _plan(request: ApplyRequest, disk: RootDisk | None, boot: Seed | None) -> Plan:
    wish = Wish(
        online=bool(request.workload["spec"].get("online", True)),
        disk=disk,
        seed_volume=boot.volume if boot is not None else {},
        annotations=request.annotations,
    )
    note = f" (the image is not verified: {disk.unverified})" if disk is not None and disk.unverified else ""
    return Plan(wish, boot, Outcome(True, "Synchronized", f"all settings were passed to the machine{note}"))
