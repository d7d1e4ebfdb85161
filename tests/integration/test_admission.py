"""Cover admission and audit by the management cluster's own objects: quotas, webhooks, and what is
recorded."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hack.realcluster.settings import Folder
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Answer, Running, eventually
from tests.integration.test_view import BMH, consumer
from tests.integration.webhooks import applied, patch, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTED = "count/workloads.workload.metal3.io"
WORKLOADS = "/apis/workload.metal3.io/v1alpha1/namespaces/a/workloads"
MERGE = {"Content-Type": "application/merge-patch+json"}


def ask(cluster: Running, method: str, path: str, body: Any, **headers: str) -> Answer:
    """Send a request as tenant a, through kube-apiserver."""
    through = cluster.description["management"]["server"]
    identity = cluster.tenant_identity("a")
    return cluster.direct(path, identity=identity, through=through, method=method, body=body, headers=headers)


def used(cluster: Running, name: str = "few") -> str | None:
    """Return the usage in the quota's status, or None before it was counted."""
    status = cluster.get(ADMIN, "resourcequota", name, "-n", "a").get("status", {})
    value: str | None = status.get("used", {}).get(COUNTED) if COUNTED in status.get("hard", {}) else None
    return value


@contextmanager
def quota(cluster: Running, hard: int) -> Iterator[None]:
    """Create a quota in namespace a, and wait until the quota controller has counted it."""
    obj = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": "a"},
        "spec": {"hard": {COUNTED: str(hard)}},
    }
    with applied(cluster, ADMIN, obj):
        eventually(lambda: used(cluster) == "0")
        yield


def test_a_quota_lets_exactly_so_many_in(tenants: Running) -> None:
    with quota(tenants, 10):
        with ThreadPoolExecutor(50) as pool:
            bodies = [workload(f"many-{index}", image=None) for index in range(50)]
            answers = list(pool.map(lambda body: ask(tenants, "POST", WORKLOADS, body), bodies))
        refused = [answer.json()["message"] for answer in answers if answer.code == 403]
        assert (len(tenants.items("a", "workloads")), len(refused)) == (10, 40), {answer.code for answer in answers}
        why = f"exceeded quota: few, requested: {COUNTED}=1, used: {COUNTED}=10, limited: {COUNTED}=10"
        assert all(message.endswith(f" is forbidden: {why}") for message in refused)
        assert used(tenants) == "10"
        # An existing name is refused without being counted, and the quota controller gives back
        # what is deleted.
        tenants.kubectl("a", "delete", "workloads", "--all", "--wait=true", "--timeout=60s")
        eventually(lambda: used(tenants) == "0", seconds=90)
        tenants.kubectl("a", "create", "-f", "-", stdin=workload("many-0", image=None))
        assert ask(tenants, "POST", WORKLOADS, workload("many-0", image=None)).code == 409
        eventually(lambda: used(tenants) == "1")


def test_a_quota_counts_claims_through_the_view(tenants: Running) -> None:
    with quota(tenants, 2):
        names = [host["metadata"]["name"] for host in tenants.items("a", BMH)]

        def claim(name: str) -> Answer:
            path = f"/apis/metal3.io/v1alpha1/namespaces/a/baremetalhosts/{name}"
            return ask(tenants, "PATCH", path, {"spec": {"consumerRef": consumer(f"machine-{name}", "a")}}, **MERGE)

        with ThreadPoolExecutor(len(names)) as pool:
            answers = list(pool.map(claim, names))
        assert sorted(answer.code for answer in answers) == [200] * 2 + [403] * (len(names) - 2), [a.json() for a in answers]
        assert len(tenants.items("a", "workloads")) == 2
        assert used(tenants) == "2"


def test_webhooks_change_warn_and_refuse(tenants: Running, tmp_path: Path) -> None:
    def changes(request: dict[str, Any]) -> dict[str, Any]:
        return patch({"op": "add", "path": "/spec/online", "value": False}) if request["operation"] == "CREATE" else {}

    def checks(request: dict[str, Any]) -> dict[str, Any]:
        refused = "refused" in request["name"]
        return {"allowed": not refused, "status": {"code": 403, "message": "not this one"}, "warnings": ["watched"]}

    def named(name: str) -> dict[str, Any]:
        obj = workload(name, image=None)
        obj["metadata"]["labels"] = {"asks": "both"}
        return obj

    (tmp_path / "changes").mkdir()
    (tmp_path / "checks").mkdir()
    with serving(tmp_path / "changes", changes) as changing, serving(tmp_path / "checks", checks) as checking:
        mutating = changing.configuration("MutatingWebhookConfiguration", "both")
        conditions = [{"name": "tenants-only", "expression": "request.userInfo.username == 'tenant-a'"}]
        validating = checking.configuration("ValidatingWebhookConfiguration", "both", matchConditions=conditions)
        with applied(tenants, ADMIN, mutating), applied(tenants, ADMIN, validating):
            # The server sees the configurations by watching, some milliseconds later.
            eventually(lambda: tenants.try_kubectl("a", "create", "--dry-run=server", "-f", "-", stdin=named("refused")).returncode != 0)
            done = tenants.try_kubectl("a", "create", "-f", "-", stdin=named("refused"))
            assert 'admission webhook "both.example.com" denied the request: not this one' in done.stderr
            done = tenants.try_kubectl("a", "create", "-f", "-", stdin=named("fine"))
            assert (done.returncode, "Warning: watched" in done.stderr) == (0, True), done.stderr
            assert tenants.get("a", "workload", "fine")["spec"]["online"] is False
            tenants.kubectl("a", "delete", "workload", "fine", "--wait=true", "--timeout=60s")
        created = next(request for request in checking.asked if request["name"] == "fine" and request["operation"] == "CREATE")
        assert created["object"]["spec"]["online"] is False, "it sees what the other one made"
        assert (created["userInfo"]["username"], created["namespace"], created["options"]["kind"]) == ("tenant-a", "a", "CreateOptions")
        assert {request["subResource"] for request in changing.asked if request.get("subResource")} >= {"status"}
        deleted = next(request for request in checking.asked if request["operation"] == "DELETE")
        assert (deleted["object"], deleted["oldObject"]["metadata"]["name"]) == (None, "fine")
        assert {request["userInfo"]["username"] for request in checking.asked} == {"tenant-a"}, "the condition spares the controllers"


@pytest.mark.parametrize(("policy", "passes"), [("Fail", False), ("Ignore", True)])
def test_a_webhook_that_is_away_fails_by_its_policy(tenants: Running, tmp_path: Path, policy: str, passes: bool) -> None:
    with serving(tmp_path, lambda request: {"allowed": False}) as hook:
        configuration = hook.configuration("ValidatingWebhookConfiguration", "away", failurePolicy=policy)
        obj = workload("away", image=None)
        obj["metadata"]["labels"] = {"asks": "away"}
        with applied(tenants, ADMIN, configuration):
            eventually(lambda: tenants.try_kubectl("a", "create", "--dry-run=server", "-f", "-", stdin=obj).returncode != 0)
            configuration["webhooks"][0]["clientConfig"]["url"] = "https://127.0.0.1:1/"
            tenants.kubectl(ADMIN, "apply", "-f", "-", stdin=configuration)
            said = "created" if passes else 'failed calling webhook "away.example.com"'

            def decided() -> bool:
                done = tenants.try_kubectl("a", "create", "--dry-run=server", "-f", "-", stdin=obj)
                return said in done.stdout + done.stderr

            eventually(decided)


POLICY_API = "admissionregistration.k8s.io/v1"
POLICED = {"apiGroups": ["workload.metal3.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["workloads"]}


def policy(name: str, expression: str, message: str, **spec: Any) -> dict[str, Any]:
    """Return a ValidatingAdmissionPolicy for Workloads with its name as a label."""
    constraints = {"resourceRules": [POLICED], "objectSelector": {"matchLabels": {"policy": name}}}
    spec = {"matchConstraints": constraints, "validations": [{"expression": expression, "message": message}], **spec}
    return {"apiVersion": POLICY_API, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}


def policy_binding(name: str, **spec: Any) -> dict[str, Any]:
    """Return the binding of a policy."""
    spec = {"policyName": name, "validationActions": ["Deny"], **spec}
    return {"apiVersion": POLICY_API, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": spec}


def test_mutating_policies_change_workloads(tenants: Running) -> None:
    expression = "Object{metadata: Object.metadata{labels: {'by': request.userInfo.username}}}"
    constraints = {"resourceRules": [POLICED], "objectSelector": {"matchLabels": {"policy": "labels"}}}
    spec = {
        "matchConstraints": constraints,
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }
    changes = {"apiVersion": POLICY_API, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "labels"}, "spec": spec}
    bound = {**policy_binding("labels"), "kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": "labels"}}
    obj = workload("policed", image=None)
    obj["metadata"]["labels"] = {"policy": "labels"}

    def labels() -> dict[str, str]:
        answer = ask(tenants, "POST", f"{WORKLOADS}?dryRun=All", obj)
        assert answer.code == 201
        found: dict[str, str] = answer.json()["metadata"]["labels"]
        return found

    with applied(tenants, ADMIN, changes), applied(tenants, ADMIN, bound):
        eventually(lambda: labels() == {"policy": "labels", "by": "tenant-a"})
    eventually(lambda: labels() == {"policy": "labels"})


def test_policies_are_enforced(tenants: Running) -> None:
    def tried(name: str) -> Answer:
        obj = workload("policed", image=None)
        obj["metadata"]["labels"] = {"policy": name}
        return ask(tenants, "POST", f"{WORKLOADS}?dryRun=All", obj)

    images = policy("images", "has(object.spec.image)", "a Workload needs an image")
    with applied(tenants, ADMIN, images), applied(tenants, ADMIN, policy_binding("images")):
        eventually(lambda: tried("images").code == 422)
        why = "ValidatingAdmissionPolicy 'images' with binding 'images' denied request: a Workload needs an image"
        assert tried("images").json()["message"] == f'workloads.workload.metal3.io "policed" is forbidden: {why}'
        assert tried("another").code == 201
    eventually(lambda: tried("images").code == 201)


def test_parameters_of_policies_need_permission(tenants: Running) -> None:
    limits = policy("limits", "params.data.free == 'yes'", "no", paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    reference = {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}
    obj = workload("policed", image=None)
    obj["metadata"]["labels"] = {"policy": "limits"}
    with applied(tenants, ADMIN, limits), applied(tenants, ADMIN, policy_binding("limits", paramRef=reference)):
        eventually(lambda: ask(tenants, "POST", f"{WORKLOADS}?dryRun=All", obj).code == 422)
        answer = ask(tenants, "POST", f"{WORKLOADS}?dryRun=All", obj).json()
        assert "failed to configure binding: paramKind kind `v1, Kind=ConfigMap` not yet synced" in answer["message"]


def test_writes_are_audited(tenants: Running) -> None:
    answer = ask(tenants, "POST", WORKLOADS, workload("audited", image=None), **{"Audit-ID": "an-id-of-my-own"})
    assert answer.code == 201
    audit_id = answer.headers["Audit-Id"]

    def recorded() -> list[dict[str, Any]]:
        lines = Folder(tenants.root).audit.read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["auditID"] == audit_id and event["verb"] == "create"]

    (event,) = eventually(recorded)
    assert (event["stage"], event["level"], event["user"]["username"]) == ("ResponseComplete", "Request", "tenant-a")
    assert event["objectRef"]["name"] == "audited"
    assert event["requestObject"]["metadata"]["name"] == "audited"
    assert (event["responseStatus"]["code"], event["annotations"]["authorization.k8s.io/decision"]) == (201, "allow")
    assert "responseObject" not in event
