"""Check the warnings for changes of a running host: the image is not installed again unless
updatePolicy is Recreate, and a shorter lease ends earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.registry.generic.context import Context, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, IMAGE

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Registries

NEW = {**IMAGE, "url": "http://images.example/new.qcow2"}


async def change(registries: Registries, phase: str, spec: dict[str, Any]) -> list[str]:
    """Return the warnings of a change of a Workload in this phase."""
    context = Context(UserInfo("tenant"))
    await registries.workloads.create(context, "tenant-a", {"metadata": {"name": "w"}, "spec": {"className": "metal", "image": IMAGE}})
    status = {"phase": phase}
    await registries.workloads.update(context, "tenant-a", "w", lambda old: {**old, "status": status}, subresource="status")
    await registries.workloads.update(context, "tenant-a", "w", lambda old: {**old, "spec": {**old["spec"], **spec}})
    return context.warnings


@pytest.mark.parametrize(
    ("phase", "spec", "warned"),
    [
        ("Running", {"image": NEW}, True),
        ("Stopped", {"image": NEW}, True),
        ("Running", {"image": NEW, "updatePolicy": "Recreate"}, False),
        ("Provisioning", {"image": NEW}, False),
        ("Running", {"online": False}, False),
    ],
)
async def test_a_change_that_is_not_carried_out_is_warned_of(
    registries: Registries, phase: str, spec: dict[str, Any], warned: bool
) -> None:
    warnings = await change(registries, phase, spec)
    assert len(warnings) == warned
    assert all("Recreate" in warning for warning in warnings)


async def test_a_lease_that_is_made_shorter_is_warned_of(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    context = Context(UserInfo("tenant"))

    async def ask(seconds: int) -> list[str]:
        context.warnings.clear()
        wanted = {"durationSeconds": seconds}
        await registries.workloads.update(context, "tenant-a", "node-0", lambda old: {**old, "spec": {**old["spec"], "lease": wanted}})
        return [warning for warning in context.warnings if "the lease ends at" in warning]

    assert [len(await ask(seconds)) for seconds in (86400, 172800, 3600, 3600)] == [0, 0, 1, 0]


async def test_a_host_claimed_through_its_view_is_installed_again_as_by_bmo(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    assert registries.workloads.get("tenant-a", "node-0").object()["spec"]["updatePolicy"] == "Recreate"
