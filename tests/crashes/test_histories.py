"""Run random histories of actions of tenants and an owner, and of faults. Check the invariants
after every step, and further ones once everything is at rest. HISTORIES=500 in the environment
searches new histories; without it the same few are tried every time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from apiserver.client.errors import ApiException
from tests.crashes import objects
from tests.crashes.checks import TENANTS, assert_sound, leaks
from tests.crashes.stack import Snapshot, Stack, running
from tests.crashes.virtual import VirtualLoop, determined, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tests.crashes.network import Process

HISTORIES = int(os.environ.get("HISTORIES", "0"))
HOSTS = 3
TENANT, INDEX = st.sampled_from(TENANTS), st.integers(0, HOSTS - 1)
NAME = st.sampled_from(["w0", "w1", "w2"])
IMAGES = st.sampled_from([None, objects.IMAGE, "http://images.example/other.qcow2"])
HOLDS = st.sampled_from(["baremetalhost.metal3.io/paused", "baremetalhost.metal3.io/detached", "capm3.metal3.io/unhealthy"])
ALLOWED = st.sampled_from(
    [
        {"names": ["tenant-a"]},
        {"nameMatches": "tenant-.*"},
        {"selector": {"matchLabels": {"kubernetes.io/metadata.name": "tenant-b"}}},
        None,
    ]
)
FOREIGN = {"kind": "Metal3Machine", "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "namespace": "elsewhere", "name": "thief"}


def at_rest() -> Snapshot:
    """Prepare hosts that are offered to two tenants, which may disable cleaning."""

    async def main() -> Snapshot:
        async with running() as stack:
            await stack.seed(HOSTS, cleaning={"mode": "metadata", "tenantMayDisable": True})
            stack.control()
            await stack.until(lambda: len(stack.management.all("BareMetalHost")) == HOSTS * len(TENANTS))
            await stack.settled()
            return stack.snapshot()

    return run(main)


class Troubles(RuleBasedStateMachine):
    """Let controllers start, die and be cut off while time passes by itself. Subclasses define the
    actions of users."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.contexts = ExitStack()
        loop = VirtualLoop()
        self.contexts.enter_context(determined(loop, 0))
        self.runner = self.contexts.enter_context(asyncio.Runner(loop_factory=lambda: loop))
        self.async_contexts = AsyncExitStack()
        self.stack: Stack = self.run(self.async_contexts.enter_async_context(running(snapshot)))
        self.controllers: Process | None = None
        self.controllers_start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run the coroutine in virtual time."""
        return self.runner.run(coroutine)

    def attempt(self, send: Callable[[], Awaitable[Any]]) -> None:
        """Try a write. The server may refuse it, with a reason, and without revealing anything of
        the owner's."""

        async def main() -> ApiException | None:
            try:
                await send()
            except ApiException as error:
                return error
            return None

        refusal = self.run(main())
        if refusal is not None:
            assert 400 <= refusal.status < 500, f"{refusal} is the server's failure"
            assert len(refusal.message) > 10
            assert objects.CANARY not in str(refusal)

    @rule()
    def controllers_die(self) -> None:
        if self.controllers is not None:
            self.run(self.controllers.kill())
            self.controllers = None

    async def _control(self) -> Process:
        return self.stack.control()

    @rule()
    def controllers_start(self) -> None:
        if self.controllers is None:
            self.controllers = self.run(self._control())

    @rule()
    def network_breaks(self) -> None:
        """Cut the controllers off from the hardware cluster."""
        if self.controllers is not None:
            self.controllers.isolate(self.stack.hardware.port)

    @rule()
    def network_heals(self) -> None:
        if self.controllers is not None:
            self.controllers.cut.clear()

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.2, 1.0, 5.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule()
    def rest(self) -> None:
        """Let the controllers run and reach everything until all pending reports are made."""
        self.controllers_start()
        self.network_heals()
        self.run(asyncio.sleep(40.0))  # longer than any pause of the controllers
        self.run(self.stack.settled(600))
        assert_sound(self.stack)

    @invariant()
    def safe(self) -> None:
        assert self.stack.guard.broken == []
        assert leaks(self.stack.management) == []

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.rest()
        finally:
            self.run(self.async_contexts.aclose())
            self.contexts.close()


class Histories(Troubles):
    """Let tenants and owners perform every action that they may perform."""

    @rule(
        where=TENANT,
        name=NAME,
        image=IMAGES,
        cleaning=st.sampled_from([None, "disabled"]),
        policy=st.sampled_from(["OnDelete", "Recreate"]),
    )
    def create_workload(self, where: str, name: str, image: str | None, cleaning: str | None, policy: str) -> None:
        spec = {"image": objects.image(image) if image else None, "automatedCleaningMode": cleaning, "updatePolicy": policy}
        self.attempt(lambda: self.stack.management.create(objects.workload(name, where, **spec), who=where))

    @rule(where=TENANT, name=NAME, image=IMAGES, online=st.booleans())
    def change_workload(self, where: str, name: str, image: str | None, online: bool) -> None:
        spec = {"image": objects.image(image) if image else None, "online": online}
        self.attempt(lambda: self.stack.management.patch("Workload", name, {"spec": spec}, where, who=where))

    @rule(where=TENANT, name=NAME)
    def delete_workload(self, where: str, name: str) -> None:
        self.attempt(lambda: self.stack.management.delete("Workload", name, where, who=where))

    @rule(where=TENANT, index=INDEX, image=IMAGES)
    def claim_view(self, where: str, index: int, image: str | None) -> None:
        reference = {"kind": "Metal3Machine", "apiVersion": FOREIGN["apiVersion"], "namespace": where, "name": f"m{index}"}
        spec = {"consumerRef": reference, "image": objects.image(image) if image else None, "online": True}
        self.attempt(lambda: self.stack.management.patch("BareMetalHost", f"h{index}", {"spec": spec}, where, who=where))

    @rule(where=TENANT, index=INDEX)
    def release_view(self, where: str, index: int) -> None:
        self.attempt(lambda: self.stack.management.patch("BareMetalHost", f"h{index}", {"spec": {"consumerRef": None}}, where, who=where))

    @rule(where=TENANT, index=INDEX)
    def delete_view(self, where: str, index: int) -> None:
        self.attempt(lambda: self.stack.management.delete("BareMetalHost", f"h{index}", where, who=where))

    @rule(
        where=TENANT,
        index=INDEX,
        key=st.sampled_from(["reboot.metal3.io", "reboot.metal3.io/x", "capm3.metal3.io/unhealthy"]),
        on=st.booleans(),
    )
    def annotate_view(self, where: str, index: int, key: str, on: bool) -> None:
        patch = {"metadata": {"annotations": {key: "" if on else None}}}
        self.attempt(lambda: self.stack.management.patch("BareMetalHost", f"h{index}", patch, where, who=where))

    @rule(index=INDEX, key=HOLDS, on=st.booleans())
    def owner_holds(self, index: int, key: str, on: bool) -> None:
        patch = {"metadata": {"annotations": {key: "" if on else None}}}
        self.attempt(lambda: self.stack.hardware.patch("BareMetalHost", f"h{index}", patch, objects.HARDWARE))

    @rule(index=INDEX, on=st.booleans())
    def owner_takes_over(self, index: int, on: bool) -> None:
        spec = {"consumerRef": FOREIGN if on else None}
        self.attempt(lambda: self.stack.hardware.patch("BareMetalHost", f"h{index}", {"spec": spec}, objects.HARDWARE))

    @rule(index=INDEX)
    def owner_replaces(self, index: int) -> None:
        """Delete the host, and register one of the same name once it is gone."""
        self.attempt(lambda: self.stack.hardware.delete("BareMetalHost", f"h{index}", objects.HARDWARE))

    @rule(index=INDEX)
    def owner_clears_claim(self, index: int) -> None:
        hosts = [host for host in self.stack.management.all("Host") if host["spec"]["source"]["name"] == f"h{index}"]
        for host in hosts:
            name = host["metadata"]["name"]
            # Mypy does not infer the defaults of lambdas.
            self.attempt(lambda name=name: self.stack.management.patch("Host", name, {"spec": {"claimRef": None}}))  # type: ignore[misc] # mypy does not infer the defaults of lambdas

    @rule(allowed=ALLOWED, limit=st.sampled_from([None, 0, 1, 2]))
    def owner_changes_class(self, allowed: dict[str, Any] | None, limit: int | None) -> None:
        spec = {"allowedNamespaces": None, "offer": None}
        self.attempt(lambda: self.stack.management.patch("WorkloadClass", "metal", {"spec": spec}))
        wanted = {"allowedNamespaces": allowed, "offer": {"maxPerNamespace": limit}}
        self.attempt(lambda: self.stack.management.patch("WorkloadClass", "metal", {"spec": wanted}))


@pytest.mark.timeout(1800)
def test_histories() -> None:
    snapshot = at_rest()
    wanted = settings(
        max_examples=HISTORIES or 20,
        stateful_step_count=16,
        derandomize=not HISTORIES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink) if HISTORIES else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    machine = cast("type[RuleBasedStateMachine]", lambda: Histories(snapshot))
    run_state_machine_as_test(machine, settings=wanted)
