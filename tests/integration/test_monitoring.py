"""Test the component `monitoring`: its alerts with promtool, its objects on a real kube-apiserver,
and that everything it asks for is really exported."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import yaml

from hack.monitoring.promql import metrics_of
from tests.integration.alerts import ALERTS, CAUSES, TENANTS_REASONS, Alert
from tests.integration.objects import workload
from tests.integration.prometheus import RULES, Prometheus, watching
from tests.integration.running import ADMIN, OWNER, ROOT, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMPONENT = ROOT / "manifests/components/monitoring"
DASHBOARD: dict[str, Any] = json.loads((COMPONENT / "dashboard.json").read_text())
ALERT_RULES = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
PROMETHEUS = "prometheus-of-the-test"
SYSTEM = "metal3-workloads-system"
PROMTOOL_SECONDS = 600
"""Seconds for a promtool, which takes a few on an idle machine."""
FAULT = "simulator.metal3.io/fail"


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return promtool's path. Without promtool, the tests fail."""
    done = subprocess.run([ROOT / "hack/monitoring/promtool"], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return done.stdout.strip()


def rules_file(folder: Path) -> Path:
    path = folder / "rules.json"
    path.write_text(json.dumps({"groups": RULES["groups"]}))
    return path


def case(name: str, alert: Alert, *, fires: bool) -> dict[str, Any]:
    """Return one of promtool's tests."""
    rule = ALERT_RULES[name]
    labels = {**rule["labels"], **alert.labels}
    expected = {"exp_labels": labels, "exp_annotations": {**rule["annotations"], "summary": alert.summary}}
    series = [{"series": series, "values": values} for series, values in (alert.fires if fires else alert.quiet).items()]
    ask = {"eval_time": f"{alert.at}m", "alertname": name, "exp_alerts": [expected] if fires else []}
    return {"interval": "1m", "input_series": series, "alert_rule_test": [ask]}


def test_rules_are_valid(promtool: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", rules_file(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PROMTOOL_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_only_then(promtool: str, tmp_path: Path) -> None:
    assert ALERTS.keys() == ALERT_RULES.keys()
    tests = [case(name, alert, fires=fires) for name, alert in ALERTS.items() for fires in (True, False)]
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"rule_files": [str(rules_file(tmp_path))], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False, timeout=PROMTOOL_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_cause_is_one_critical_alert(promtool: str, tmp_path: Path) -> None:
    tests = []
    for cause, (series, alert) in CAUSES.items():
        expected = {"labels": f'{{alertname="{alert}"}}', "value": 1}
        critical = 'count by (alertname) (ALERTS{alertstate="firing", severity="critical"})'
        ask = {"eval_time": "60m", "expr": critical, "exp_samples": [expected]}
        given = [{"series": name, "values": values} for name, values in series.items()]
        tests.append({"name": cause, "interval": "1m", "input_series": given, "promql_expr_test": [ask]})
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"rule_files": [str(rules_file(tmp_path))], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False, timeout=PROMTOOL_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_reason_of_a_wait_is_the_tenants_or_the_operators() -> None:
    page = (ROOT / "docs/troubles.md").read_text()
    table = page.partition("### `Bound` is False")[2].partition("###")[0]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    reasons = {reason for row in rows for reason in re.findall(r"`([A-Z]\w+)`", row)} - {"Pending", "Failed", "Workload"}
    assert reasons - {*TENANTS_REASONS} == {"BindingForbidden", "ClassNotReady", "MachineRefused"}, (
        "those keep the alert firing until the operator acts"
    )


def test_promtool_finds_an_alert_that_does_not_fire(promtool: str, tmp_path: Path) -> None:
    name, alert = next(iter(ALERTS.items()))
    wrong = case(name, alert, fires=True) | {"input_series": case(name, alert, fires=False)["input_series"]}
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"rule_files": [str(rules_file(tmp_path))], "evaluation_interval": "1m", "tests": [wrong]}))
    assert subprocess.run([promtool, "test", "rules", path], capture_output=True, check=False, timeout=PROMTOOL_SECONDS).returncode != 0


def test_every_alert_has_a_section_that_its_link_leads_to() -> None:
    page = (ROOT / "docs/troubles.md").read_text()
    anchors = {heading.lower() for heading in re.findall(r"^### (Metal3Workloads\w+)$", page, re.MULTILINE)}
    assert {rule["annotations"]["runbook_url"] for rule in ALERT_RULES.values()} == {f"troubles.md#{anchor}" for anchor in anchors}
    for name, rule in ALERT_RULES.items():
        assert rule["annotations"]["runbook_url"].endswith(f"#{name.lower()}")


def test_the_names_in_an_expression_are_found() -> None:
    expression = (
        'sum by (le, a) (rate(x_bucket{job="y", c=~"a.b"}[5m])) / on (z) group_left (w) max_over_time(v:w[1h]) and q > 7 * 24 or time()'
    )
    assert metrics_of(expression) == {"x_bucket", "v:w", "q"}


def asked() -> set[str]:
    """Return the metrics that the alerts and the dashboard read."""
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    expressions = [*(rule["expr"] for rule in ALERT_RULES.values()), *targets]
    return {name for expression in expressions for name in metrics_of(expression)} - {"up"}


def test_each_panel_is_of_the_chosen_cluster() -> None:
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "cluster"}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            selectors = re.findall(r"\{[^}]*\}", target["expr"])
            assert selectors, target
            assert [one for one in selectors if 'cluster="$cluster"' not in one] == [], target["expr"]


def exported(text: str) -> set[str]:
    """Return the names of the series that a page of metrics has, or will have."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        found |= {f"{name}{suffix}" for suffix in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return found


WITH_OPERATOR = ("components/network-policies", "components/monitoring", "components/monitoring-network-policy")


def built(cluster: Running, folder: Path, overlay: str = "overlays/sqlite", parts: Sequence[str] = WITH_OPERATOR) -> list[dict[str, Any]]:
    """Return the objects of an overlay with these components."""
    root = os.path.relpath(ROOT / "manifests", folder.resolve())
    (folder / "kustomization.yaml").write_text(
        json.dumps({"resources": [f"{root}/{overlay}"], "components": [f"{root}/{part}" for part in parts]})
    )
    command = [str(cluster.tools / "kubectl"), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder)]
    return list(yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout))


@pytest.mark.parametrize("overlay", ["overlays/sqlite", "overlays/ha", "overlays/beside-bmo"])
def test_the_component_fits_the_installations(cluster: Running, tmp_path: Path, overlay: str) -> None:
    made = built(cluster, tmp_path, overlay)
    own = [obj for obj in made if not obj["apiVersion"].startswith(("monitoring.coreos.com/", "cert-manager.io/"))]
    arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
    done = cluster.try_kubectl(ADMIN, *arguments, stdin=own)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    services = [obj for obj in made if obj["kind"] == "Service"]
    pods = [obj["spec"]["template"] for obj in made if obj["kind"] == "Deployment"]
    monitors = [obj["spec"] for obj in made if obj["kind"] == "ServiceMonitor"]
    assert len(monitors) == 2
    for monitor in monitors:
        (service,) = (one for one in services if monitor["selector"]["matchLabels"].items() <= one["metadata"].get("labels", {}).items())
        (pod,) = (one for one in pods if service["spec"]["selector"].items() <= one["metadata"]["labels"].items())
        (endpoint,) = monitor["endpoints"]
        (target,) = (port["targetPort"] for port in service["spec"]["ports"] if port["name"] == endpoint["port"])
        (container,) = pod["spec"]["containers"]
        assert target in {port["name"] for port in container["ports"]}
        (policy,) = (
            obj["spec"] for obj in made if obj["kind"] == "NetworkPolicy" and obj["metadata"]["name"] == "metal3-workloads-metrics"
        )
        assert service["spec"]["selector"]["app.kubernetes.io/name"] in policy["podSelector"]["matchExpressions"][0]["values"]
        assert target in {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    (dashboard,) = (obj for obj in made if obj["kind"] == "ConfigMap" and "grafana_dashboard" in obj["metadata"].get("labels", {}))
    assert json.loads(dashboard["data"]["metal3-workloads.json"]) == DASHBOARD


def checked(objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """Decode the objects into the Prometheus Operator's own types."""
    built = subprocess.run([ROOT / "hack/monitoring/checker"], stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    listed = json.dumps({"items": objects})
    return subprocess.run([built.stdout.strip()], input=listed, capture_output=True, text=True, check=False, timeout=60)


def test_the_objects_of_the_operator_are_of_its_own_types(cluster: Running, tmp_path: Path) -> None:
    objects = [obj for obj in built(cluster, tmp_path) if obj["apiVersion"].startswith("monitoring.coreos.com/")]
    done = checked(objects)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "PrometheusRule metal3-workloads",
        "ServiceMonitor metal3-workloads-apiserver",
        "ServiceMonitor metal3-workloads-controllers",
    ]
    (monitor, *_) = (obj for obj in objects if obj["kind"] == "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    for wrong in ({"bearerTokenFiles": "x"}, {"port": 6443}, {"tlsConfig": {"insecure": True}}):
        assert checked([{**monitor, "spec": {**monitor["spec"], "endpoints": [{**endpoint, **wrong}]}}]).returncode == 1, wrong
    assert checked([{**monitor, "kind": "ServiceMonitors"}]).returncode == 1


def endpoint_slice(service: dict[str, Any], deployment: dict[str, Any]) -> dict[str, Any]:
    """Return what the EndpointSlice controller would make of a Service and a pod of a
    Deployment."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    pod = {"kind": "Pod", "namespace": namespace, "name": f"{name}-0"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-0", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": False}, "targetRef": pod}],
        "ports": [{"name": port["name"], "port": numbers[port["targetPort"]], "protocol": "TCP"} for port in service["spec"]["ports"]],
    }


@pytest.mark.usefixtures("scraper")
def test_a_prometheus_without_the_operator_finds_both_programs(cluster: Running, tmp_path: Path) -> None:
    """Ask kube-apiserver what Prometheus' discovery asks it, with the account and the selectors of
    the guide. Debian's Prometheus is built without that discovery."""
    made = built(cluster, tmp_path, parts=("components/metrics",))
    assert not [obj for obj in made if obj["apiVersion"].startswith("monitoring.coreos.com/")]
    page = (ROOT / "docs/monitoring.md").read_text()
    (snippet,) = (block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "scrape_configs:" in block)
    deployments = {obj["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]: obj for obj in made if obj["kind"] == "Deployment"}
    services = [obj for obj in made if obj["kind"] == "Service" and obj["spec"].get("clusterIP") == "None"]
    slices = [endpoint_slice(service, deployments[service["spec"]["selector"]["app.kubernetes.io/name"]]) for service in services]
    roles = [obj for obj in made if obj["kind"] in ("Role", "RoleBinding") and "discovery" in obj["metadata"]["name"]]
    for obj in roles:
        for subject in obj.get("subjects", ()):
            subject |= {"name": PROMETHEUS, "namespace": "default"}
    found = {}
    try:
        cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=[*roles, *slices])
        for job in yaml.safe_load(snippet)["scrape_configs"]:
            (discovery,) = job["kubernetes_sd_configs"]
            found[job["job_name"]] = discovered(cluster, discovery)
    finally:
        cluster.kubectl(ADMIN, "delete", "--ignore-not-found", "-f", "-", stdin=[*roles, *slices])
    assert found == {"metal3-workloads-apiserver": ["192.0.2.7:6443"], "metal3-workloads-controllers": ["192.0.2.7:8443"]}
    assert found.keys() == {job for rule in ALERT_RULES.values() for job in re.findall(r'\bjob="([^"]+)"', rule["expr"])}


def discovered(cluster: Running, discovery: dict[str, Any]) -> list[str]:
    """Return the addresses that a kubernetes_sd_config of the role endpointslice leads to. The role
    reads Services and pods, too."""
    assert discovery["role"] == "endpointslice"
    (namespace,), (selector,) = discovery["namespaces"]["names"], discovery["selectors"]
    assert selector["role"] == discovery["role"]
    reader = ("-n", namespace, f"--as=system:serviceaccount:default:{PROMETHEUS}")
    for kind in ("services", "pods"):
        cluster.get(ADMIN, kind, *reader)
    slices = cluster.items(ADMIN, "endpointslices", *reader, "-l", selector["label"])
    return [
        f"{address}:{port['port']}" for one in slices for port in one["ports"] for each in one["endpoints"] for address in each["addresses"]
    ]


def test_the_links_of_alerts_lead_to_the_published_page(cluster: Running, tmp_path: Path) -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    (snippet,) = (block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "replacements:" in block)
    root = os.path.relpath(ROOT / "manifests", tmp_path.resolve())
    overlay = {"resources": [f"{root}/overlays/sqlite"], "components": [f"{root}/components/monitoring"], **yaml.safe_load(snippet)}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    command = [str(cluster.tools / "kubectl"), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path)]
    made = list(yaml.safe_load_all(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout))
    assert "published-documentation" not in json.dumps(made)
    (rules,) = (obj for obj in made if obj["kind"] == "PrometheusRule")
    for group in rules["spec"]["groups"]:
        for rule in group["rules"]:
            published = f"https://docs.example.com/metal3-workloads/troubles.md#{rule['alert'].lower()}"
            assert rule["annotations"]["runbook_url"] == published


@pytest.fixture
def scraper(cluster: Running, tmp_path: Path) -> Iterator[str]:
    """Yield the token of an account that may read metrics, with the rights of the component."""
    rights = [
        obj
        for obj in built(cluster, tmp_path)
        if obj["metadata"]["name"] in ("metal3-workloads-metrics", "metal3-workloads-controllers:auth-delegator")
    ]
    rights = [obj for obj in rights if obj["kind"].startswith("ClusterRole")]
    for obj in rights:
        if obj["kind"] == "ClusterRoleBinding" and obj["metadata"]["name"] == "metal3-workloads-metrics":
            obj["subjects"] = [{"kind": "ServiceAccount", "name": PROMETHEUS, "namespace": "default"}]
    cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=rights)
    cluster.kubectl(ADMIN, "-n", "default", "create", "serviceaccount", PROMETHEUS)
    try:
        yield cluster.kubectl(ADMIN, "-n", "default", "create", "token", PROMETHEUS).strip()
    finally:
        cluster.kubectl(ADMIN, "-n", "default", "delete", "serviceaccount", PROMETHEUS)
        cluster.kubectl(ADMIN, "delete", "-f", "-", stdin=rights)


def test_all_that_alerts_and_dashboard_read_is_exported_to_prometheus(cluster: Running, scraper: str) -> None:
    text = "".join(eventually(lambda: scraped(cluster, scraper)))
    assert len(asked()) > 30
    assert asked() - exported(text) == set()


def scraped(cluster: Running, token: str) -> tuple[str, str]:
    """Return the metrics of the server and of the controllers."""
    pages = []
    for url in (cluster.description["apiserver"]["url"], cluster.description["controllers"]["metrics"]):
        answer = cluster.direct("/metrics", headers={"Authorization": f"Bearer {token}"}, at=url)
        assert answer.code == 200, answer.body
        pages.append(answer.body.decode())
    return pages[0], pages[1]


PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "python_gc_collections_total"}
CLIENT = {"rest_client_requests_total", "rest_client_request_duration_seconds_bucket"}
SERVER = {
    "requests": {"apiserver_request_total", "apiserver_request_duration_seconds_bucket", "apiserver_request_sli_duration_seconds_bucket"},
    "requests in work": {"apiserver_current_inflight_requests", "apiserver_longrunning_requests"},
    "latency of the storage": {"etcd_request_duration_seconds_bucket", "etcd_requests_total", "etcd_request_errors_total"},
    "size of the storage": {"apiserver_storage_size_bytes", "apiserver_resource_objects", "apiserver_storage_objects"},
    "cache": {"apiserver_watch_cache_resource_version", "apiserver_watch_cache_events_received_total"},
    "webhooks": {"apiserver_admission_webhook_admission_duration_seconds_bucket", "apiserver_admission_webhook_rejection_count"},
    "policies": {
        "apiserver_validating_admission_policy_check_total",
        "apiserver_mutating_admission_policy_check_total",
        "apiserver_admission_match_condition_evaluation_errors_total",
        "metal3_workloads_admission_policies_followed",
    },
    "usage": {"metal3_workloads_usagerecords_written"},
    "certificates": {
        "apiserver_client_certificate_expiration_seconds_bucket",
        "metal3_workloads_serving_certificate_expiration_timestamp_seconds",
    },
    "loop held": {"apiserver_event_loop_step_seconds_bucket", "apiserver_event_loop_delay_seconds_bucket"},
    "flow control": {
        "apiserver_flowcontrol_dispatched_requests_total",
        "apiserver_flowcontrol_rejected_requests_total",
        "apiserver_flowcontrol_current_inqueue_requests",
        "apiserver_flowcontrol_request_wait_duration_seconds_bucket",
    },
}
CONTROLLERS = {
    "queues": {
        "workqueue_depth",
        "workqueue_adds_total",
        "workqueue_retries_total",
        "workqueue_queue_duration_seconds_bucket",
        "workqueue_work_duration_seconds_bucket",
        "workqueue_unfinished_work_seconds",
        "workqueue_longest_running_processor_seconds",
    },
    "reconciles": {
        "controller_runtime_reconcile_total",
        "controller_runtime_reconcile_errors_total",
        "controller_runtime_reconcile_time_seconds_bucket",
    },
    "leader": {"leader_election_master_status"},
    "fleet": {
        "metal3_workloads_hosts",
        "metal3_workloads_workloads",
        "metal3_workloads_workloads_waiting",
        "metal3_workloads_time_to_running_seconds_bucket",
        "metal3_workloads_release_duration_seconds_bucket",
        "metal3_workloads_provisioning_failures_total",
        "metal3_workloads_claims_lost_total",
        "metal3_workloads_class_connected",
    },
    "sets and leases": {
        "metal3_workloads_workloadsets",
        "metal3_workloads_workloadset_members",
        "metal3_workloads_workloadsets_followed",
        "metal3_workloads_leases",
        "metal3_workloads_leases_ended_total",
    },
    "reservations": {
        "metal3_workloads_reservation_hosts",
        "metal3_workloads_reservation_stalled",
        "metal3_workloads_reservations_followed",
    },
    "usage": {
        "metal3_workloads_host_allocated_seconds_total",
        "metal3_workloads_host_powered_on_seconds_total",
        "metal3_workloads_usagerecords_followed",
    },
    "backups": {"metal3_workloads_backup_last_success_timestamp_seconds"},
}


def test_each_program_exports_what_the_guide_promises(cluster: Running, scraper: str) -> None:
    server, controllers = (exported(page) for page in eventually(lambda: scraped(cluster, scraper)))
    for families, there in ((SERVER, server), (CONTROLLERS, controllers)):
        for what, names in ({**families, "process": PROCESS, "client": CLIENT}).items():
            assert names - there == set(), what
    guide = (ROOT / "docs/monitoring.md").read_text()
    named = {name for name in re.findall(r"`([a-z][a-z0-9]*_[a-z_]+)(?:\{[^}`]*\})?`", guide)}
    both = {re.sub(r"_(bucket|sum|count)$", "", name) for name in server | controllers} | server | controllers
    assert named - both - {"runbook_url", "rule_files"} == set()


def test_tenants_cannot_add_series(cluster: Running, scraper: str) -> None:
    """Check that no label contains a name that a tenant has chosen, in objects or in requests."""
    mark = "zq7mark"
    for obj in (workload(f"{mark}-1", className=mark), workload(f"{mark}-2", failureDomain=mark)):
        obj["metadata"]["labels"] = {mark: mark}
        cluster.kubectl("a", "create", f"--field-manager={mark}", "-f", "-", stdin=obj)
    for name in ("workloads", mark, f"workloads/{mark}/{mark}", f"workloads?fieldManager={mark}&labelSelector={mark}"):
        cluster.try_kubectl("a", "get", "--raw", f"/apis/workload.metal3.io/v1alpha1/namespaces/a/{name}")
    cluster.try_kubectl("a", "get", "--raw", f"/apis/workload.metal3.io/{mark}/{mark}")
    try:
        eventually(lambda: cluster.get("a", "workload", f"{mark}-1")["status"]["conditions"])
        for page in eventually(lambda: scraped(cluster, scraper)):
            assert mark not in page
    finally:
        cluster.try_kubectl("a", "delete", "workloads", f"{mark}-1", f"{mark}-2", "--wait=false")


def test_the_last_backup_is_known_without_another_program(cluster: Running, scraper: str) -> None:
    """Check that the controllers may list CronJobs, and find those of the manifests by their
    labels."""
    for folder in ("components/backup", "etcd-backup"):
        made = yaml.safe_load((ROOT / "manifests" / folder / "cronjob.yaml").read_text())
        made["spec"]["suspend"] = True
        name = made["metadata"]["name"]
        cluster.kubectl(ADMIN, "create", "-f", "-", stdin=made)
        try:
            status = json.dumps({"status": {"lastSuccessfulTime": "2026-01-01T00:00:00Z"}})
            cluster.kubectl(ADMIN, "-n", SYSTEM, "patch", "cronjob", name, "--subresource=status", "--type=merge", "-p", status)
            series = f'metal3_workloads_backup_last_success_timestamp_seconds{{cronjob="{name}"}} 1.7672256e+09'
            eventually(partial(exports, cluster, scraper, series), seconds=120)
        finally:
            cluster.kubectl(ADMIN, "-n", SYSTEM, "delete", "cronjob", name)


def exports(cluster: Running, token: str, series: str) -> bool:
    return series in scraped(cluster, token)[1]


def test_tenants_and_strangers_read_no_metrics(cluster: Running, scraper: str) -> None:
    tenant = cluster.kubectl(ADMIN, "-n", "a", "create", "token", "default").strip()
    for url in (cluster.description["apiserver"]["url"], cluster.description["controllers"]["metrics"]):
        for headers, code in (({"Authorization": f"Bearer {tenant}"}, 403), ({"Authorization": "Bearer forged"}, 401)):
            answer = cluster.direct("/metrics", headers=headers, at=url)
            assert answer.code == code
            assert b"metal3_workloads_hosts" not in answer.body


def check(holds: bool, prometheus: Prometheus) -> bool:
    """Return True, or raise an AssertionError with the alerts that fire."""
    assert holds, prometheus.query('ALERTS{alertstate="firing"}')
    return True


def broken_class(server: str, credentials: bytes) -> list[dict[str, Any]]:
    """Return a class whose source is at another address, and its secret."""
    config = json.loads(credentials)
    for one in config["clusters"]:
        one["cluster"]["server"] = server
    reference = {"namespace": "metal3-workloads-system", "name": "elsewhere-credentials"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": reference, "stringData": {"kubeconfig": json.dumps(config)}}
    spec = {
        "provisioner": "metal3.io/baremetalhost",
        "parameters": {"namespace": "metal3"},
        "hostSelector": {"matchLabels": {"rack": "elsewhere"}},
        "credentialsSecretRef": reference,
        "allowedNamespaces": {"names": ["b"]},
    }
    return [secret, class_("elsewhere", spec)]


def class_(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a WorkloadClass."""
    return {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}, "spec": spec}


def empty_class() -> dict[str, Any]:
    """Return a class that is connected and selects no host."""
    return class_(
        "empty",
        {
            "provisioner": "metal3.io/baremetalhost",
            "parameters": {"namespace": "metal3"},
            "hostSelector": {"matchLabels": {"rack": "not-built-yet"}},
            "credentialsSecretRef": {"namespace": "metal3-workloads-system", "name": "metal-credentials"},
            "allowedNamespaces": {"names": ["a"]},
        },
    )


def runbook(alert: str) -> list[str]:
    """Return the commands that the alert's section of the runbook names."""
    page = (ROOT / "docs/troubles.md").read_text()
    section = page.partition(f"### {alert}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    return [" ".join(found.split()) for found in re.findall(r"`((?:kubectl|metal3-workloads) [^`]+)`", section)]


def mend(cluster: Running, who: str, folder: Path, alert: str, **words: str) -> None:
    """Run the commands of the alert's section as this user, with words in the place of
    placeholders."""
    page = (ROOT / "docs/troubles.md").read_text()
    section = page.partition(f"### {alert}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    command = re.sub(r"\b[A-Z]{2,}\b", lambda found: words[found[0]], block)
    environment = {**os.environ, "PATH": f"{cluster.tools}:{os.environ['PATH']}", "KUBECONFIG": cluster.kubeconfig(who)}
    argv = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def on_screen(cluster: Running, command: str) -> str:
    """Run a command of the runbook on a terminal of 80 columns and 40 lines, which its answer has
    to fit if it is one of ours. Returns the answer."""
    name, *arguments = command.split()
    program = str(cluster.tools / "kubectl") if name == "kubectl" else str(Path(sys.executable).with_name(name))
    environment = {**os.environ, "KUBECONFIG": cluster.kubeconfig(ADMIN), "TERM": "xterm-256color"}
    environment = {key: value for key, value in environment.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    screen, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    with os.fdopen(screen, "rb", buffering=0) as shown:
        with subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=end, stderr=end, env=environment) as running:
            os.close(end)
            answer = b"".join(iter(lambda: _read(shown), b"")).decode()
        assert running.returncode == 0, answer
    plain = re.sub(r"\x1b\[[0-9;]*m", "", answer).replace("\r", "")
    if name != "kubectl":
        assert len(plain.splitlines()) <= 40, plain
        assert max(map(len, plain.splitlines())) <= 80, plain
    return plain


def _read(shown: IO[bytes]) -> bytes:
    """Return what is on the terminal, b"" when its last user has closed it."""
    try:
        return shown.read(65536)
    except OSError:
        return b""


def test_three_problems_at_once_have_separate_alerts_and_end_with_the_runbooks_steps(
    tenants: Running, scraper: str, promtool: str, tmp_path: Path
) -> None:
    credentials = tenants.get(ADMIN, "secret", "-n", "metal3-workloads-system", "metal-credentials")["data"]["kubeconfig"]
    hosts = [host["metadata"]["name"] for host in tenants.items(OWNER, "baremetalhosts", "-n", "metal3")]
    kubeconfig = base64.b64decode(credentials)
    with watching(tenants, scraper, promtool, tmp_path) as prometheus:
        eventually(lambda: prometheus.query("metal3_workloads_provisioning_failures_total"))
        eventually(lambda: not prometheus.firing())
        try:
            tenants.kubectl(OWNER, "annotate", "baremetalhost", "-n", "metal3", *hosts, f"{FAULT}=provisioning")
            tenants.kubectl(ADMIN, "apply", "-f", "-", stdin=broken_class("https://127.0.0.1:1", kubeconfig))
            tenants.kubectl(ADMIN, "apply", "-f", "-", stdin=empty_class())
            asked = [workload("fails"), workload("waits", className="empty"), workload("errs", hostRef={"name": "nowhere"})]
            tenants.kubectl("a", "apply", "-f", "-", stdin=asked)
            troubles = {
                ("Metal3WorkloadsProvisioningFails", "metal"),
                ("Metal3WorkloadsClassDisconnected", "elsewhere"),
                ("Metal3WorkloadsClassExhausted", "empty"),
            }
            waits = 'metal3_workloads_oldest_waiting_seconds{reason="HostNotFound"} > 10'
            eventually(lambda: check(prometheus.firing() >= troubles and bool(prometheus.query(waits)), prometheus), seconds=90)
            assert "Metal3WorkloadsWorkloadWaits" not in {name for name, _ in prometheus.firing()}, "what only a tenant can mend"
            host = tenants.get("a", "workload", "fails")["status"]["host"]["name"]
            glance = on_screen(tenants, "metal3-workloads fleet")
            causes = {"elsewhere", "Unreachable", "a/fails", "cannot be installed", "a/waits", "a/errs", "HostNotFound"}
            assert {cause for cause in causes if cause not in glance} == set(), glance
            assert "cannot be installed" in on_screen(tenants, "metal3-workloads why fails -n a")
            assert "nowhere" in on_screen(tenants, "metal3-workloads why errs -n a")
            steps = {
                "Metal3WorkloadsProvisioningFails": ("metal", "fails", "fail"),
                "Metal3WorkloadsClassDisconnected": ("elsewhere", "", "Unreachable"),
                "Metal3WorkloadsClassExhausted": ("empty", "waits", "empty"),
            }
            for alert, (name, waits, cause) in steps.items():
                assert runbook(alert)
                for step in runbook(alert):
                    words = {"CLASS": name, "HOST": host, "WORKLOAD": waits, "NS": "a"}
                    answer = on_screen(tenants, " ".join(words.get(word, word) for word in step.split()))
                    assert cause in answer, f"{step}: {answer}"
            tenants.kubectl(OWNER, "annotate", "baremetalhost", "-n", "metal3", *hosts, f"{FAULT}-")
            (tmp_path / "class.kubeconfig").write_bytes(kubeconfig)
            url = {"NS": "a", "WORKLOAD": "fails", "URL": "https://images.example.com/mended.qcow2"}
            mend(tenants, "a", tmp_path, "Metal3WorkloadsProvisioningFails", **url)
            mend(tenants, ADMIN, tmp_path, "Metal3WorkloadsClassDisconnected", SECRET="elsewhere-credentials")
            mend(tenants, "a", tmp_path, "Metal3WorkloadsClassExhausted", NS="a", WORKLOAD="waits", OTHER="metal")
            mend(tenants, "a", tmp_path, "Metal3WorkloadsWorkloadWaits", NS="a", WORKLOAD="errs")
            tenants.kubectl("a", "wait", "workload/fails", "workload/waits", "workload/errs", "--for=condition=Ready", "--timeout=90s")
            eventually(lambda: check(not prometheus.firing(), prometheus), seconds=90)
        finally:
            tenants.kubectl(OWNER, "annotate", "baremetalhost", "-n", "metal3", *hosts, f"{FAULT}-")
            tenants.kubectl(ADMIN, "delete", "workloadclass", "elsewhere", "empty", "--ignore-not-found", "--timeout=60s")
            tenants.kubectl(ADMIN, "delete", "secret", "-n", "metal3-workloads-system", "elsewhere-credentials", "--ignore-not-found")


def test_a_registration_that_kube_apiserver_cannot_reach_is_reported(cluster: Running) -> None:
    name = "v1alpha1.workload.metal3.io"
    port = cluster.get(ADMIN, "apiservice", name)["spec"]["service"]["port"]

    def reported() -> str:
        lines = cluster.direct("/readyz?verbose").body.decode().splitlines()
        return next((line for line in lines if line.startswith("[!]registrations: ")), "")

    def register(at: int) -> None:
        cluster.kubectl(ADMIN, "patch", "apiservice", name, "--type=merge", "-p", json.dumps({"spec": {"service": {"port": at}}}))

    assert reported() == ""
    try:
        register(1)
        assert "(FailedDiscoveryCheck)" in eventually(reported, seconds=180)
        assert f"APIService {name}: it is not available" in reported()
    finally:
        register(port)
        cluster.kubectl(ADMIN, "wait", "--for=condition=Available", "--timeout=120s", f"apiservice/{name}")
    eventually(lambda: reported() == "", seconds=120)
