"""Follow the HardwareData of the hardware cluster, where the Baremetal Operator keeps what
inspection has found.

The operator still writes the same data to status.hardware of the host, but plans to stop. So the
HardwareData is preferred. Without the kind, or without the right to read it, status.hardware is
used.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, key_of, uid_of
from controllers.providers.baremetalhost.names import HARDWARE_DATA

KEPT = ("name", "namespace", "uid", "resourceVersion", "ownerReferences")
"""The metadata fields that the informer keeps."""


class HardwareObjects:
    """Follow the HardwareData of a namespace ("" for all).

    `on_change` is called with the key of each host whose object changes, `on_health` when `is_known`
    may have changed."""

    def __init__(self, client: Client, namespace: str, *, on_change: Callable[[str], None], on_health: Callable[[], None]) -> None:
        self._informer = Informer(client, HARDWARE_DATA, namespace=namespace, transform=_reduced)
        self._on_change = on_change
        self._informer.add_handler(self._changed)
        self._informer.add_health_handler(on_health)

    async def run(self) -> None:
        """Follow the objects until cancelled."""
        await self._informer.run()

    @property
    def is_known(self) -> bool:
        """Return whether it is known which hosts have a HardwareData.

        Reports that are made before that could lose the hardware of every host for a moment."""
        return self._informer.synced.is_set() or self._refused

    @property
    def _refused(self) -> bool:
        error = self._informer.last_error
        return isinstance(error, ApiException) and (error.forbidden or error.not_found)

    def complete(self, bmh: Object) -> Object:
        """Return the host with its hardware in status.hardware. The argument is not changed."""
        status = bmh.get("status") or {}
        known = (status.get("hardware"), self._found(bmh))
        # While the HardwareData cannot be read, the last known one is older than the host's own
        # status.
        stale, latest = reversed(known) if self._refused else known
        hardware = latest or stale
        return bmh if hardware is status.get("hardware") else {**bmh, "status": {**status, "hardware": hardware}}

    def _found(self, bmh: Object) -> Object | None:
        data = self._informer.store.get(key_of(bmh))
        if data is None or not _belongs(data, bmh):
            return None
        hardware: Object | None = (data.get("spec") or {}).get("hardware")
        return hardware

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if (data := new or old) is not None:
            self._on_change(key_of(data))


def _belongs(data: Object, bmh: Object) -> bool:
    """Return whether the HardwareData is about this host, and not about an earlier host of the same
    name.

    A HardwareData that the owner has written by hand need not name the host."""
    owners = [one["uid"] for one in data["metadata"].get("ownerReferences") or () if one.get("kind") == "BareMetalHost"]
    return not owners or uid_of(bmh) in owners


def _reduced(data: Object) -> Object:
    metadata = {name: value for name, value in data["metadata"].items() if name in KEPT}
    return {"metadata": metadata, "spec": {"hardware": (data.get("spec") or {}).get("hardware")}}
