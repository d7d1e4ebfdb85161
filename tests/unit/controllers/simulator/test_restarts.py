"""Kill the simulator anywhere: in whatever order things happen, a host ends where its spec wants
it, with everything in memory lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.apis.metal3 import BareMetalHost
from controllers.simulator import faults
from controllers.simulator.machine import step
from tests.unit.controllers.simulator.lifecycle import IMAGE, HostLifecycle, new_host

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES: list[dict[str, Any] | None] = [None, IMAGE, {**IMAGE, "url": "http://images.example/other.raw"}]
CHANGES = st.one_of(
    st.tuples(st.just("image"), st.sampled_from(IMAGES)),
    st.tuples(st.just("online"), st.booleans()),
    st.tuples(st.just("automatedCleaningMode"), st.sampled_from(["metadata", "disabled"])),
    st.tuples(st.just("reboot.metal3.io"), st.sampled_from(["", '{"mode":"hard"}', None])),
    st.tuples(st.just("reboot.metal3.io/x"), st.sampled_from(["", None])),
    st.tuples(st.just("baremetalhost.metal3.io/paused"), st.sampled_from(["", None])),
    st.tuples(st.just("baremetalhost.metal3.io/detached"), st.sampled_from(["", None])),
    st.tuples(st.just(faults.ANNOTATION), st.sampled_from(["provisioning:2", "power:1", "deprovisioning:1", None])),
)
PLANS = st.lists(st.tuples(CHANGES, st.floats(0, 8), st.booleans()), max_size=12)
ANNOTATIONS = ("baremetalhost.metal3.io/paused", "baremetalhost.metal3.io/detached", "reboot.metal3.io/x", faults.ANNOTATION)


def _change(lifecycle: HostLifecycle, what: str, value: Any) -> None:
    if "." in what:
        lifecycle.annotate(**{what: value})
    else:
        lifecycle.want(**{what: value})


@given(PLANS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_host_ends_in_the_state_that_its_spec_asks_for(plan: list[tuple[tuple[str, Any], float, bool]], kills: bool) -> None:
    lifecycle = HostLifecycle(new_host())
    for (what, value), seconds, killed in plan:
        _change(lifecycle, what, value)
        lifecycle.settle(seconds=seconds, kills=kills)
        lifecycle.progress = None if killed else lifecycle.progress
    lifecycle.annotate(**dict.fromkeys(ANNOTATIONS))
    lifecycle.settle(seconds=3600, kills=kills)
    spec, status = lifecycle.host.spec, lifecycle.status
    runs = spec.image is not None and (spec.online or lifecycle.state == "provisioned")
    assert lifecycle.state == ("provisioned" if runs else "available")
    assert (status.error_message, status.error_type, status.operational_status) == ("", None, "OK")
    assert status.powered_on == spec.online
    running = status.provisioning.image.url if status.provisioning.image else None
    assert running == (spec.image.url if spec.image is not None and runs else None)
    # In other states, a reboot without force waits until it is possible.
    assert lifecycle.state == "available" or "reboot.metal3.io" not in (lifecycle.host.metadata.annotations or {})


@given(PLANS)
@settings(max_examples=50, deadline=None)
def test_deletion_always_ends(plan: list[tuple[tuple[str, Any], float, bool]]) -> None:
    lifecycle = HostLifecycle(new_host())
    for (what, value), seconds, _ in plan:
        _change(lifecycle, what, value)
        lifecycle.settle(seconds=seconds)
    lifecycle.annotate(**dict.fromkeys(ANNOTATIONS[:2]))
    lifecycle.delete()
    lifecycle.settle(seconds=3600, kills=True)
    assert lifecycle.gone


@given(PLANS)
@settings(max_examples=50, deadline=None)
def test_a_step_changes_nothing_it_was_given_and_survives_the_wire(plan: list[tuple[tuple[str, Any], float, bool]]) -> None:
    lifecycle = HostLifecycle(new_host())
    check: Callable[[], None] = lambda: _pure(lifecycle)  # noqa: E731 - a typed name for what differs
    for (what, value), seconds, _ in plan:
        _change(lifecycle, what, value)
        check()
        lifecycle.settle(seconds=seconds)
        check()


def _pure(lifecycle: HostLifecycle) -> None:
    before = lifecycle.host.model_dump_json()
    found = step(lifecycle.host, lifecycle.secrets, lifecycle.progress, lifecycle.now, lifecycle.settings)
    assert lifecycle.host.model_dump_json() == before
    assert BareMetalHost.decode(found.host.encode()) == found.host
