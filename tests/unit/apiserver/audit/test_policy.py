"""Check which requests a policy records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from apiserver.audit.policy import LEVELS, BadPolicy, Policy, read_policy
from apiserver.handlers.request.call import parse
from apiserver.registry.generic.context import UserInfo

if TYPE_CHECKING:
    from pathlib import Path

ALICE = UserInfo("alice", groups=("devs", "ops"))
THING = parse("PATCH", "/apis/g/v1/namespaces/n/things/t", {})
STATUS = parse("PUT", "/apis/g/v1/namespaces/n/things/t/status", {})
NODE = parse("GET", "/api/v1/nodes/a", {})
METRICS = parse("GET", "/metrics", {})


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    return Policy.model_validate({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more})


@pytest.mark.parametrize(
    ("rule", "info", "matches"),
    [
        ({}, THING, True),
        ({}, METRICS, True),
        ({"users": ["alice"]}, THING, True),
        ({"users": ["bob"]}, THING, False),
        ({"userGroups": ["ops", "others"]}, THING, True),
        ({"userGroups": ["others"]}, THING, False),
        ({"verbs": ["patch"]}, THING, True),
        ({"verbs": ["get"]}, THING, False),
        ({"namespaces": ["n"]}, THING, True),
        ({"namespaces": ["m"]}, THING, False),
        ({"namespaces": [""]}, NODE, True),
        ({"namespaces": ["n"]}, METRICS, False),
        ({"resources": [{"group": "g"}]}, THING, True),
        ({"resources": [{"group": ""}]}, THING, False),
        ({"resources": [{"group": "*"}]}, THING, True),
        ({"resources": [{}]}, NODE, True),
        ({"resources": [{"group": "g", "resources": ["things"]}]}, THING, True),
        ({"resources": [{"group": "g", "resources": ["things"]}]}, STATUS, False),
        ({"resources": [{"group": "g", "resources": ["things/status"]}]}, STATUS, True),
        ({"resources": [{"group": "g", "resources": ["things/*"]}]}, STATUS, True),
        ({"resources": [{"group": "g", "resources": ["*/status"]}]}, STATUS, True),
        ({"resources": [{"group": "g", "resources": ["*/status"]}]}, THING, False),
        ({"resources": [{"group": "g", "resources": ["*"]}]}, STATUS, True),
        ({"resources": [{"group": "g", "resources": ["things"], "resourceNames": ["t"]}]}, THING, True),
        ({"resources": [{"group": "g", "resources": ["things"], "resourceNames": ["u"]}]}, THING, False),
        ({"resources": [{"group": "g"}]}, METRICS, False),
        ({"nonResourceURLs": ["/metrics"]}, METRICS, True),
        ({"nonResourceURLs": ["/met*"]}, METRICS, True),
        ({"nonResourceURLs": ["*"]}, METRICS, True),
        ({"nonResourceURLs": ["/healthz"]}, METRICS, False),
        ({"nonResourceURLs": ["*"]}, THING, False),
    ],
)
def test_rules(rule: dict[str, Any], info: Any, matches: bool) -> None:
    recording = policy({"level": "Metadata", **rule}).recording(ALICE, info)
    assert (recording is not None) is matches


def test_the_first_rule_that_matches_decides() -> None:
    made = policy({"level": "None", "users": ["alice"]}, {"level": "Request", "verbs": ["patch"]}, {"level": "Metadata"})
    assert made.recording(ALICE, THING) is None
    for user, info, level in ((UserInfo("bob"), THING, "Request"), (UserInfo("bob"), NODE, "Metadata"), (None, METRICS, "Metadata")):
        recording = made.recording(user, info)
        assert recording is not None
        assert LEVELS[recording.level] == level
    assert policy({"level": "Metadata", "users": ["x"]}).recording(ALICE, THING) is None
    assert policy({"level": "Metadata", "userGroups": ["x"]}).recording(None, THING) is None


def test_stages_add_up_and_managed_fields_are_overridden() -> None:
    rules = {"level": "Metadata", "omitStages": ["Panic"], "omitManagedFields": False}
    recording = policy(rules, omitStages=["RequestReceived"], omitManagedFields=True).recording(ALICE, THING)
    assert recording is not None
    assert (recording.omit_stages, recording.omit_managed_fields) == (frozenset(("Panic", "RequestReceived")), False)
    inherited = policy({"level": "Metadata"}, omitManagedFields=True).recording(ALICE, THING)
    assert inherited is not None
    assert inherited.omit_managed_fields


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  nonResourceURLs: [/metrics]\n")
    assert read_policy(path).recording(None, METRICS) is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "Other"}, "kind"),
        ({"apiVersion": "audit.k8s.io/v1beta1"}, "apiVersion"),
        ({"rules": []}, "rules"),
        ({"rules": [{}]}, r"rules\[0\].level"),
        ({"rules": [{"level": "All"}]}, r"rules\[0\].level"),
        ({"rules": [{"level": "None", "user": ["a"]}]}, r"rules\[0\].user: unknown field"),
        ({"rules": [{"level": "None", "omitStages": ["End"]}]}, "omitStages"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["metrics"]}]}, "nonResourceURLs"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["/a*b"]}]}, "nonResourceURLs"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["*"], "namespaces": ["n"]}]}, "either"),
        ({"rules": [{"level": "None", "resources": [{"resourceNames": ["n"]}]}]}, "at least one resource"),
    ],
)
def test_invalid_audit_policies_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "None"}], **change}))
    with pytest.raises(BadPolicy, match=said):
        read_policy(path)
    path.write_text("{")
    with pytest.raises(BadPolicy, match="not YAML"):
        read_policy(path)
