"""Check that a namespace with a quota of one never keeps two hosts from others, whatever its tenant
does, in whatever order.

The test counts the namespace's hosts itself, after each commit, without the server's own records of
charges.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from apiserver.client.errors import ApiException
from tests.crashes import objects
from tests.crashes.guard import QUARANTINED
from tests.crashes.stack import KINDS, Snapshot, running
from tests.crashes.test_histories import HISTORIES, Troubles
from tests.crashes.virtual import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storage.base import Event

GREEDY, OTHER = "tenant-a", "tenant-b"
HOSTS, QUOTA = 3, 1
CLASS_HOSTS = "metal.workloadclass.workload.metal3.io/hosts"
RULES = {
    "cleaning": {"mode": "metadata", "tenantMayDisable": True},
    "reclaim": {"tenantMayRetain": True, "maxUnhealthyPerNamespace": HOSTS},
}
CONSUMER = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine", "namespace": GREEDY}
UNHEALTHY = "capm3.metal3.io/unhealthy"
FREED = (UNHEALTHY, QUARANTINED, "workload.metal3.io/dirty-for")
NAME, INDEX = st.sampled_from(["w0", "w1", "h0"]), st.integers(0, HOSTS - 1)
LEFT = st.sampled_from([{}, {"reclaimPolicy": "Retain"}, {"automatedCleaningMode": "disabled"}])

Object = dict[str, Any]


class Account:
    """Follow the commits of a management cluster. `holds` are the hosts that no other namespace can
    have because of this one."""

    def __init__(self, namespace: Object, hosts: list[Object]) -> None:
        self.uid: str | None = namespace["metadata"]["uid"]
        self.most, self.seen = 0, Counter[str]()
        self._last: dict[str, tuple[str, str]] = {}
        for host in hosts:
            self._host(host)

    def holds(self) -> set[str]:
        return {host for host, holder in self._last.items() if holder == (GREEDY, self.uid)}

    def committed(self, events: list[Event]) -> None:
        for event in events:
            obj, put = orjson.loads(event.value), event.type == "put"
            if "/hosts/" in event.key and put:
                self._host(obj)
            elif event.key.endswith(f"/namespaces/{GREEDY}"):
                self.uid = obj["metadata"]["uid"] if put else None
        self.most = max(self.most, len(self.holds()))

    def _host(self, host: Object) -> None:
        name, claim, status = host["spec"]["source"]["name"], host["spec"].get("claimRef"), host.get("status") or {}
        if claim:
            self._last[name] = (claim["namespace"], claim["namespaceUID"])
            self.seen["claims"] += claim["namespace"] == GREEDY
        elif status.get("available") and not status.get("dirtyFor"):
            self._last.pop(name, None)
        elif name in self.holds():
            self.seen[status.get("reason") or "uncleaned"] += 1


def at_rest() -> Snapshot:
    """Prepare hosts that are offered to two tenants, of which one is greedy and may leave hosts as
    it likes."""

    async def main() -> Snapshot:
        async with running() as stack:
            await stack.seed(HOSTS, **RULES)
            stack.control()
            await stack.until(lambda: len(stack.management.all("BareMetalHost")) == HOSTS * 2)
            await stack.settled()
            return stack.snapshot()

    return run(main)


class Greed(Troubles):
    """Let one tenant try to exceed its quota by any action, while another claims and releases
    hosts."""

    def __init__(self, snapshot: Snapshot, seen: Counter[str], amounts: dict[str, str] | None) -> None:
        super().__init__(snapshot)
        server = self.stack.management
        if amounts is None:
            server.quotas.hard[GREEDY] = QUOTA
        else:
            server.quotas.amounts[GREEDY] = amounts
        self.seen = seen
        self.account = Account(server.get("Namespace", GREEDY), server.all("Host"))
        self.stack.guard.committed = self._committed

    def _committed(self, events: list[Event]) -> None:
        self.account.committed(events)
        if len(held := self.account.holds()) > QUOTA:
            self.stack.guard.broken.append(f"a quota of {QUOTA} holds {sorted(held)}")

    def tenant(self, send: Callable[[], Awaitable[Any]]) -> None:
        """Try a write as the greedy tenant."""

        async def counted() -> None:
            try:
                await send()
            except ApiException as error:
                self.seen["refusals"] += "exceeded quota" in error.message
                raise

        self.attempt(counted)

    def mine(self) -> str:
        """Return the name of a Workload of the greedy tenant, if it has any."""
        found = [obj["metadata"]["name"] for obj in self.stack.management.all("Workload") if obj["metadata"]["namespace"] == GREEDY]
        return str(found[-1]) if found else "w0"

    def view(self, index: int) -> str:
        """Return the name of a view that the greedy tenant has claimed, or else of any view."""
        found = [obj for obj in self.stack.management.all("BareMetalHost") if obj["metadata"]["namespace"] == GREEDY]
        claimed = [obj["metadata"]["name"] for obj in found if obj["spec"].get("consumerRef")]
        return str(claimed[0]) if claimed else f"h{index}"

    @rule(name=NAME, left=LEFT, index=st.none() | INDEX)
    def create(self, name: str, left: Object, index: int | None) -> None:
        spec = {**left, **({"hostRef": {"name": f"h{index}"}} if index is not None else {})}
        self.tenant(lambda: self.stack.management.create(objects.workload(name, **spec), who=GREEDY))

    @rule(left=LEFT)
    def change_how_it_is_left(self, left: Object) -> None:
        spec, name = {"reclaimPolicy": None, "automatedCleaningMode": None, **left}, self.mine()
        self.tenant(lambda: self.stack.management.patch("Workload", name, {"spec": spec}, GREEDY, who=GREEDY))

    @rule(policy=st.sampled_from([None, "Background", "Foreground", "Orphan"]), force=st.booleans())
    def delete(self, policy: str | None, *, force: bool) -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        body = {key: value for key, value in (options | ({"gracePeriodSeconds": 0} if force else {})).items() if value is not None}
        path = KINDS["Workload"].path(GREEDY, self.mine())
        self.tenant(lambda: self.stack.management.client(GREEDY).request("DELETE", path, body=body))

    @rule(when=st.sampled_from(["never", "before", "after"]))
    def strip_finalizers(self, when: str) -> None:
        """Remove the finalizers that hold a Workload, and delete it before or after that."""
        name = self.mine()
        if when == "before":
            self.delete(None, force=True)
        self.tenant(lambda: self.stack.management.patch("Workload", name, {"metadata": {"finalizers": None}}, GREEDY, who=GREEDY))
        if when == "after":
            self.delete(None, force=True)

    @rule(index=INDEX)
    def claim_view(self, index: int) -> None:
        spec = {"consumerRef": {**CONSUMER, "name": f"m{index}"}, "image": objects.image(), "online": True}
        self.tenant(lambda: self.stack.management.patch("BareMetalHost", f"h{index}", {"spec": spec}, GREEDY, who=GREEDY))

    @rule(index=INDEX)
    def release_view(self, index: int) -> None:
        name = self.view(index)
        patch = {"spec": {"consumerRef": None}}
        self.tenant(lambda: self.stack.management.patch("BareMetalHost", name, patch, GREEDY, who=GREEDY))

    @rule(index=INDEX)
    def delete_view(self, index: int) -> None:
        name = self.view(index)
        self.tenant(lambda: self.stack.management.delete("BareMetalHost", name, GREEDY, who=GREEDY))

    @rule(index=INDEX, on=st.booleans())
    def mark_unhealthy(self, index: int, *, on: bool) -> None:
        name = self.view(index)
        patch = {"metadata": {"annotations": {UNHEALTHY: "fan" if on else None}}}
        self.tenant(lambda: self.stack.management.patch("BareMetalHost", name, patch, GREEDY, who=GREEDY))

    @initialize(name=NAME, left=LEFT, mark=st.booleans())
    def begin(self, name: str, left: Object, *, mark: bool) -> None:
        self.leave(name, left, mark=mark)

    @rule(name=NAME, left=LEFT, mark=st.booleans())
    def leave(self, name: str, left: Object, *, mark: bool) -> None:
        """Take a Workload from its creation to its end: most ways to keep a host begin so."""
        self.create(name, left, None)
        self.run(asyncio.sleep(30.0))
        if mark:
            self.mark_unhealthy(0, on=True)
        self.delete(None, force=False)
        self.run(asyncio.sleep(30.0))

    @rule()
    def recreate_namespace(self) -> None:
        """Delete the namespace, and create another one of the same name at once."""
        self.attempt(lambda: self.stack.management.delete("Namespace", GREEDY))
        self.run(asyncio.sleep(60.0))
        self.attempt(lambda: self.stack.management.create(objects.namespace(GREEDY)))

    @rule(name=NAME, make=st.booleans())
    def somebody_else(self, name: str, *, make: bool) -> None:
        if make:
            self.attempt(lambda: self.stack.management.create(objects.workload(name, OTHER), who=OTHER))
        else:
            self.attempt(lambda: self.stack.management.delete("Workload", name, OTHER, who=OTHER))

    @rule(index=INDEX)
    def owner_frees(self, index: int) -> None:
        """Wipe an unused host by other means as its owner, and bring it back into service."""
        if self.stack.real(f"h{index}")["spec"].get("consumerRef"):
            return
        spec = {"image": None, "online": False, "automatedCleaningMode": "metadata"}
        taken: Object = {"annotations": {QUARANTINED: "owner"}}
        for patch in ({"metadata": taken}, {"spec": spec}, {"metadata": {"annotations": dict.fromkeys(FREED)}}):
            # Mypy does not infer the defaults of lambdas.
            self.attempt(lambda patch=patch: self.stack.hardware.patch("BareMetalHost", f"h{index}", patch, objects.HARDWARE))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
            self.run(asyncio.sleep(20.0))

    def teardown(self) -> None:
        super().teardown()
        self.seen.update(self.account.seen)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("amounts", [None, {CLASS_HOSTS: str(QUOTA)}], ids=["count", "class"])
def test_a_quota_of_one_is_one_host(amounts: dict[str, str] | None) -> None:
    snapshot, seen = at_rest(), Counter[str]()
    wanted = settings(
        max_examples=HISTORIES or 14,
        stateful_step_count=20,
        derandomize=not HISTORIES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink) if HISTORIES else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    machine = cast("type[RuleBasedStateMachine]", lambda: Greed(snapshot, seen, amounts))
    run_state_machine_as_test(machine, settings=wanted)
    assert {"claims", "refusals", "uncleaned", "Quarantined", "Unhealthy"} <= {what for what, times in seen.items() if times}, seen
    assert "Abandoned" not in seen, "a claim that has just ended is not abandoned"
