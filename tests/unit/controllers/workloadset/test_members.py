"""Check what is written to members, and what their states mean."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.apis.workload import WorkloadSpec
from apiserver.registry.generic.patch import merge_patch
from controllers import kinds
from controllers.workloadset import members
from tests.unit.controllers.workloadset.sets import IMAGE, OTHER, changed, member, rolling, set_


def test_a_member_is_owned_named_and_labelled() -> None:
    made = members.new_member(set_(minAvailable=2), 3)
    assert made["metadata"]["name"] == "db-3"
    assert made["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "workload.metal3.io/v1alpha1",
            "kind": "WorkloadSet",
            "name": "db",
            "uid": "set-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert made["metadata"]["labels"]["app"] == "db"
    assert made["spec"]["gang"] == {"name": "db", "minAvailable": 2}
    assert WorkloadSpec.decode(made["spec"]).gang is not None


NUMBERS = {"db-0": 0, "db-999": 999, "db-01": None, "db": None, "db-x": None, "web-0": None, "db-1-0": None}


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_the_number_in_a_name(name: str, number: int | None) -> None:
    assert members.ordinal_of(set_(), {"metadata": {"name": name}}) == number


def test_a_default_that_is_stored_later_changes_no_revision() -> None:
    spec = {"image": IMAGE}
    stored = WorkloadSpec.decode(spec).encode()
    assert stored != spec
    assert members.revision_of(stored) == members.revision_of(spec)
    assert members.revision_of({**spec, "gang": {"name": "g", "minAvailable": 1}}) == members.revision_of(spec)
    assert members.revision_of({**spec, "image": OTHER}) != members.revision_of(spec)
    assert members.revision_of({"ofALaterVersion": 1, "nics": "bad", "online": "?"}), "what this version cannot read has one, too"


def test_an_update_empties_the_machine_and_installs_it_then() -> None:
    old = rolling()
    new, one = changed(old, image=OTHER), member(old, 0)
    emptying = members.update_patch(new, one)
    assert emptying == {
        "metadata": {"resourceVersion": "100", "labels": {kinds.TEMPLATE_REVISION: None}},
        "spec": {"image": None, "customDeploy": None},
    }
    between = merge_patch(one, emptying)
    assert members.is_between(between)
    assert members.update_patch(new, between) is None, "something is on the host still"
    between["status"] |= {"phase": "Bound"}
    assert members.update_patch(new, {**between, "metadata": {**between["metadata"], "generation": 2}}) is None, "an old status"
    installing = members.update_patch(new, between)
    assert installing is not None
    done = merge_patch(between, installing)
    assert done["spec"] == {"image": OTHER, "online": True}
    assert done["metadata"]["labels"][kinds.TEMPLATE_REVISION] == members.revision_of(new["spec"]["template"]["spec"])


def test_a_change_back_while_a_machine_is_empty_installs_what_was_there() -> None:
    old = rolling()
    emptying = members.update_patch(changed(old, image=OTHER), member(old, 0))
    assert emptying is not None
    between = merge_patch(member(old, 0), emptying)
    between["status"] |= {"phase": "Bound"}
    back = members.update_patch(old, between)
    assert back is not None
    assert merge_patch(between, back)["spec"] == member(old, 0)["spec"]


def test_what_a_machine_does_not_read_at_its_installation_is_changed_as_it_runs() -> None:
    old = rolling(template={"automatedCleaningMode": "metadata"})
    patch = members.update_patch(changed(old, online=False, automatedCleaningMode=None), member(old, 0))
    assert patch is not None
    assert patch["spec"] == {"online": False, "automatedCleaningMode": None}


def test_another_host_needs_another_workload() -> None:
    old = rolling()
    new = changed(old, requirements={"cpuCount": 4})
    assert members.is_replaced(new, member(old, 0))
    assert not members.is_replaced(new, member(old, 0, phase="Pending")), "without a host, all may change"
    assert not members.is_replaced(old, {**member(old, 0), "spec": {**member(old, 0)["spec"], "className": "metal"}}), "the default class"


def test_labels_and_the_gang_follow_the_set_without_an_update() -> None:
    of = set_(minAvailable=2)
    one = member(of, 0)
    assert members.light_patch(of, one) is None
    fewer = set_(minAvailable=1)
    assert members.light_patch(fewer, one) == {"metadata": {"resourceVersion": "100"}, "spec": {"gang": {"name": "db", "minAvailable": 1}}}
    assert members.light_patch(set_(), one) == {"metadata": {"resourceVersion": "100"}, "spec": {"gang": None}}
    labelled = set_(minAvailable=2)
    labelled["spec"]["template"]["metadata"]["labels"]["tier"] = "x"
    assert members.light_patch(labelled, one) == {"metadata": {"resourceVersion": "100", "labels": {"tier": "x"}}}


def test_adoption_and_release() -> None:
    of = set_()
    orphan = member(of, 0)
    del orphan["metadata"]["ownerReferences"]
    assert members.is_adoptable(of, orphan)
    adopted = merge_patch(orphan, members.adopting_patch(of, orphan))
    assert adopted == member(of, 0)
    del orphan["metadata"]["labels"][kinds.TEMPLATE_REVISION]
    orphan["spec"] |= {"className": "metal", "automatedCleaningMode": "disabled"}
    assert merge_patch(orphan, members.adopting_patch(of, orphan))["metadata"] == member(of, 0)["metadata"], "it runs the template"
    other = merge_patch(orphan, {"spec": {"image": OTHER}})
    assert merge_patch(other, members.adopting_patch(of, other))["metadata"] != member(of, 0)["metadata"]
    assert not members.is_adoptable(of, {**orphan, "metadata": {**orphan["metadata"], "labels": {"app": "web"}}})
    assert not members.is_adoptable(of, {**orphan, "metadata": {**orphan["metadata"], "deletionTimestamp": "now"}})
    foreign = {**orphan["metadata"], "ownerReferences": [{"kind": "X", "uid": "u", "controller": True}]}
    assert not members.is_adoptable(of, {**orphan, "metadata": foreign})
    assert "ownerReferences" not in merge_patch(adopted, members.releasing_patch(of, adopted))["metadata"]


def test_a_template_cannot_choose_the_revision_of_its_members() -> None:
    """Otherwise, the set would change the label back and forth without end."""
    of = set_()
    of["spec"]["template"]["metadata"]["labels"][kinds.TEMPLATE_REVISION] = "mine"
    assert members.light_patch(of, member(of, 0)) is None


def test_a_longer_lease_reaches_members_without_an_update_and_a_shorter_one_never() -> None:
    of = set_(template={"lease": {"durationSeconds": 100}})
    lent: dict[str, Any] = {"lease": {"startTime": "2026-01-01T00:00:00Z", "expirationTimestamp": "2026-01-01T00:01:40Z"}}
    one, longer = member(of, 0, **lent), changed(of, lease={"durationSeconds": 200})
    extending = {"metadata": {"resourceVersion": "100"}, "spec": {"lease": {"durationSeconds": 200}}}
    assert members.light_patch(of, one) is None
    assert members.light_patch(longer, one) == extending
    assert members.light_patch(longer, member(set_(), 0, **lent)) == extending, "it has its class's lease"
    assert members.light_patch(longer, member(set_(), 0, phase="Pending")) == extending
    extended = {**lent["lease"], "expirationTimestamp": "2026-01-01T00:10:00Z"}
    assert members.light_patch(longer, member(of, 0, lease=extended)) is None, "it was extended by itself"
    assert members.light_patch(of, member(set_(), 0)) is None, "what runs without an end gets none"
    revisions = {members.revision_of(each["spec"]["template"]["spec"]) for each in (of, longer, set_())}
    assert len(revisions) == 1, "a lease is no reason to install a machine again"
    other = changed(longer, online=False)
    assert "lease" not in (members.update_patch(other, one) or {})["spec"]


def test_what_a_claim_through_the_view_made_is_not_adopted() -> None:
    of = set_()
    of["spec"]["selector"] = {"matchLabels": {kinds.CLAIMED_THROUGH: "baremetalhost"}}
    claimed = {**member(of, 0), "metadata": {"name": "db-0", "namespace": "a", "labels": {kinds.CLAIMED_THROUGH: "baremetalhost"}}}
    assert not members.is_adoptable(of, claimed)
