"""Keep HardwareData objects as the Baremetal Operator does: one beside each inspected host.

Without the kind, or without the right to write it, only status.hardware is written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from apiserver.apis.metal3 import GROUP, VERSION, HardwareDetails
from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

HARDWARE_DATA = Resource(GROUP, VERSION, "hardwaredata", "HardwareData")
FINALIZER = "baremetalhost.metal3.io/hardwareData"


async def replace(client: Client, host: Object, found: HardwareDetails) -> None:
    """Replace the HardwareData of a host with what an inspection has found.

    Like BMO, this deletes the object and creates another one."""
    with _without_kind(host):
        await _remove(client, host)
        await client.create(HARDWARE_DATA, _object(host, found), namespace_of(host))


async def remove(client: Client, host: Object) -> None:
    """Remove the object of a host that is being deleted."""
    with _without_kind(host):
        await _remove(client, host)


async def _remove(client: Client, host: Object) -> None:
    current = await client.find(HARDWARE_DATA, name_of(host), namespace_of(host))
    if current is None:
        return
    if FINALIZER in (current["metadata"].get("finalizers") or ()):
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"], "finalizers": None}}
        current = await client.patch(HARDWARE_DATA, name_of(host), patch, namespace_of(host))
    if not current["metadata"].get("deletionTimestamp"):
        await client.delete(HARDWARE_DATA, name_of(host), namespace_of(host))


@contextmanager
def _without_kind(host: Object) -> Iterator[None]:
    """Ignore the error if the kind does not exist or may not be written."""
    try:
        yield
    except ApiException as error:
        if not (error.forbidden or error.not_found):
            raise
        log.info("no HardwareData for %s: %s", name_of(host), error.message)


def _object(host: Object, found: HardwareDetails) -> Object:
    owner = {
        "apiVersion": HARDWARE_DATA.api_version,
        "kind": "BareMetalHost",
        "name": name_of(host),
        "uid": uid_of(host),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": HARDWARE_DATA.api_version,
        "kind": HARDWARE_DATA.kind,
        "metadata": {"name": name_of(host), "namespace": namespace_of(host), "finalizers": [FINALIZER], "ownerReferences": [owner]},
        "spec": {"hardware": found.encode()},
    }
