"""Serve the owner's BareMetalHosts, including BMC data, and their HardwareData at the hardware
endpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apiserver.apis.names import FIRST_BOOT
from apiserver.apis.status import cause
from apiserver.registry.baremetalhost import baremetalhosts
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import ALL_VERBS
from apiserver.registry.generic.strategy import Admission, Strategy
from apiserver.registry.hardwaredata import hardwaredata
from storage.cache import WatchCache

REAL_HOSTS = baremetalhosts(view=False)
HARDWARE_DATA = replace(hardwaredata(), verbs=ALL_VERBS, stored_as="")


class RealHostStrategy(Strategy):
    """The rules of BMO's webhook."""

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Refuse secrets of other namespaces, and a changed boot MAC address."""
        spec, namespace = new["spec"], new["metadata"].get("namespace")
        causes = []
        for field in FIRST_BOOT:
            elsewhere = (spec.get(field) or {}).get("namespace")
            if elsewhere and elsewhere != namespace:
                causes.append(cause("FieldValueForbidden", "Forbidden: cross-namespace Secret references are not allowed", f"spec.{field}"))
        before = (old or {}).get("spec", {}).get("bootMACAddress")
        if before and str(spec.get("bootMACAddress", "")).lower() != before.lower():
            causes.append(
                cause("FieldValueInvalid", "Invalid value: bootMACAddress can not be changed once it is set", "spec.bootMACAddress")
            )
        return causes


def real_hosts(cache: WatchCache, admission: Admission | None = None) -> Registry:
    """Return the registry over `cache`, which must not be started yet."""
    return Registry(REAL_HOSTS, cache, strategy=RealHostStrategy(), admission=admission)


def hardware_data(cache: WatchCache, admission: Admission | None = None) -> Registry:
    """Return the registry of HardwareData over `cache`, which must not be started yet."""
    return Registry(HARDWARE_DATA, cache, admission=admission)
