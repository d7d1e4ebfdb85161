"""Check whether a claim still belongs to a Workload, over every order of taking, overwriting, and
returning it."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.host import WORKLOAD_FIELDS, HeldClaim, adopted_consumer
from apiserver.apis.names import ADOPTS
from apiserver.registry.generic.patch import merge_patch
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.desired import claimed_patch, desired
from controllers.providers.relay.claimstate import claim_state, handing_back_patch, held_claim
from controllers.providers.relay.loops import RELAYED, hosts_behind, is_loop
from tests.unit.controllers.clusters import workload
from tests.unit.controllers.providers.relay.upstream import NAMESPACE, machine, view

Object = dict[str, Any]
UIDS = ["u1", "u2", "u3"]


def successor(uid: str, consumer: str = "m") -> Object:
    """Return a Workload that succeeds another for a machine."""
    made = workload("w", NAMESPACE, userData={"name": "boot"}, consumerRef=machine(consumer))
    made["metadata"] |= {"uid": uid, "annotations": {ADOPTS: adopted_consumer(machine(consumer))}}
    return made


def taken(current: Object, wl: Object) -> Object:
    """Return the view once the relay has taken it."""
    secrets = {"userData": names.secret_name(wl["metadata"]["uid"], "userData")}
    want = desired(wl, secrets, {}, cleaning="metadata")
    patched: Object = merge_patch(current, claimed_patch(current, want))
    patched["spec"]["consumerRef"]["uid"] = wl["metadata"]["uid"]
    return patched


def claimed(consumer: str = "m") -> Object:
    made = view("h1", uid="v", consumerRef=machine(consumer))
    made["metadata"]["namespace"] = NAMESPACE
    return made


@given(st.lists(st.tuples(st.sampled_from(["take", "write over", "hand back"]), st.sampled_from(UIDS)), max_size=12))
def test_a_claim_is_taken_once_by_each_and_handed_back_whole(steps: list[tuple[str, str]]) -> None:
    current, done = claimed(), set()
    for step, uid in steps:
        wl = successor(uid)
        state = claim_state(current, wl)
        if step == "take" and state == "ours to adopt":
            assert uid not in done, "what was handed back is not taken again"
            current = taken(current, wl)
            assert claim_state(current, wl) == "ours"
            assert held_claim(current, WORKLOAD_FIELDS) is None
        elif step == "write over":
            current = copy.deepcopy(current)
            current["spec"]["consumerRef"] = machine("m")
        elif step == "hand back" and state == "handed back":
            current = merge_patch(current, handing_back_patch(current, wl))
            done.add(uid)
            assert current["spec"]["consumerRef"] == machine("m")
            assert current["spec"]["userData"]["name"] == "boot"
            assert claim_state(current, wl) == "another's"
        assert [uid for uid in UIDS if claim_state(current, successor(uid)) == "ours"] in ([], *([uid] for uid in UIDS)), "one at most"


@given(st.sampled_from(["m", "other"]), st.sampled_from(UIDS))
def test_only_just_its_consumers_claim_is_adopted(consumer: str, uid: str) -> None:
    assert (claim_state(claimed(consumer), successor(uid)) == "ours to adopt") is (consumer == "m")


def test_free_and_leaving() -> None:
    free = view("h1", uid="v")
    assert claim_state(free, successor("u1")) == "free"
    left = merge_patch(taken(claimed(), successor("u1")), {"spec": {"consumerRef": None}})
    assert claim_state(left, successor("u1")) == "leaving"
    assert claim_state(left, successor("u2")) == "free", "and not available yet, by its state"


def test_a_held_claim_has_the_apis_shape() -> None:
    held = held_claim(merge_patch(claimed(), {"metadata": {"annotations": {f"{names.OURS}x": "y"}}}), WORKLOAD_FIELDS)
    assert held is not None
    HeldClaim.decode(held)
    assert "annotations" not in held


@given(st.lists(st.text(alphabet="abc-", min_size=1, max_size=4), max_size=4))
def test_the_hosts_behind_a_view_grow_at_its_near_end(older: list[str]) -> None:
    made = view("h1", uid="v")
    made["metadata"]["annotations"] = {RELAYED: ",".join(older)}
    assert hosts_behind(made) == ["id-of-h1", *older]
    assert is_loop(made, {"id-of-h1"}.__contains__)
    assert is_loop(made, set(older).__contains__) is bool(older)
    assert not is_loop(made, {"elsewhere"}.__contains__)
