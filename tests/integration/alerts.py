"""Hold the series that make each alert fire, and those of a day on which it must not."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ALERTS", "Alert"]

SERVER, CONTROLLERS = 'job="metal3-workloads-apiserver"', 'job="metal3-workloads-controllers"'
EXPIRES = "metal3_workloads_serving_certificate_expiration_timestamp_seconds"
DURATION = "apiserver_request_duration_seconds_bucket"
DELAY = "apiserver_event_loop_delay_seconds_bucket"
WAITING = "metal3_workloads_workloads_waiting"
HOSTS = "metal3_workloads_hosts"


@dataclass(frozen=True)
class Alert:
    """One alert: the series (with a value each minute) that make it fire at the minute `at`, with
    these labels and this summary, and the series of a `quiet` day."""

    fires: dict[str, str]
    quiet: dict[str, str]
    summary: str
    labels: dict[str, str] = field(default_factory=dict)
    at: int = 60


def _durations(name: str, labels: str, fast: str, all_: str, *, bound: str = "0.1") -> dict[str, str]:
    return {f'{name}{{{labels},le="{bound}"}}': fast, f'{name}{{{labels},le="2"}}': all_, f'{name}{{{labels},le="+Inf"}}': all_}


def _counted(name: str, labels: str, each_minute: float) -> dict[str, str]:
    return {f"{name}{{{labels}}}": f"0+{each_minute:g}x90"}


def _constant(name: str, labels: str, value: float) -> dict[str, str]:
    return {f"{name}{{{labels}}}": f"{value:g}+0x90"}


ALERTS = {
    "Metal3WorkloadsAPIServerDown": Alert(
        _constant("up", SERVER, 0),
        {**_constant("up", f'{SERVER},pod="a"', 0), **_constant("up", f'{SERVER},pod="b"', 1)},
        "No replica of the API server answers.",
    ),
    "Metal3WorkloadsNotRegistered": Alert(
        _constant("metal3_workloads_apiservice_registered", f'{SERVER},apiservice="v1alpha1.metal3.io"', 0),
        _constant("metal3_workloads_apiservice_registered", f'{SERVER},apiservice="v1alpha1.metal3.io"', 1),
        "kube-apiserver does not pass requests on for v1alpha1.metal3.io.",
        {"apiservice": "v1alpha1.metal3.io"},
    ),
    "Metal3WorkloadsAPIErrors": Alert(
        {
            **_counted("apiserver_request_total", f'{SERVER},resource="hosts",verb="GET",code="200"', 75),
            **_counted("apiserver_request_total", f'{SERVER},resource="hosts",verb="GET",code="503"', 25),
        },
        {
            **_counted("apiserver_request_total", f'{SERVER},resource="hosts",verb="GET",code="404"', 75),
            **_counted("apiserver_request_total", f'{SERVER},resource="hosts",verb="GET",code="500"', 1),
            **_counted("apiserver_request_total", 'job="apiserver",resource="hosts",verb="GET",code="500"', 100),
        },
        "25% of GET hosts fail.",
        {"resource": "hosts", "verb": "GET"},
    ),
    "Metal3WorkloadsAPISlow": Alert(
        _durations(DURATION, f'{SERVER},verb="GET"', "0+0x90", "0+100x90"),
        _durations(DURATION, f'{SERVER},verb="GET"', "0+100x90", "0+100x90"),
        "One request in a hundred takes longer than 1.981s.",
    ),
    "Metal3WorkloadsEventLoopHeld": Alert(
        _durations(DELAY, f'{SERVER},pod="a"', "0+0x90", "0+100x90"),
        _durations(DELAY, f'{SERVER},pod="a"', "0+100x90", "0+100x90"),
        "The event loop of a is held for 1.981s.",
        {"pod": "a"},
    ),
    "Metal3WorkloadsRequestsRejected": Alert(
        _counted("apiserver_flowcontrol_rejected_requests_total", f'{SERVER},priority_level="workloads",reason="time-out"', 120),
        _counted("apiserver_flowcontrol_rejected_requests_total", f'{SERVER},priority_level="workloads",reason="time-out"', 30),
        "Flow control refuses 2 requests per second of level workloads.",
        {"priority_level": "workloads", "reason": "time-out"},
    ),
    "Metal3WorkloadsStorageFull": Alert(
        _constant("apiserver_storage_full", f'{SERVER},pod="a"', 1),
        _constant("apiserver_storage_full", f'{SERVER},pod="a"', 0),
        "The storage is full.",
        {"pod": "a"},
    ),
    "Metal3WorkloadsStorageFillsUp": Alert(
        {
            **_constant("apiserver_storage_size_bytes", f'{SERVER},pod="a"', 90),
            **_constant("apiserver_storage_limit_bytes", f'{SERVER},pod="a"', 100),
        },
        {
            **_constant("apiserver_storage_size_bytes", f'{SERVER},pod="a"', 90),
            **_constant("apiserver_storage_limit_bytes", f'{SERVER},pod="a"', 0),
            **_constant("apiserver_storage_size_bytes", f'{SERVER},pod="b"', 70),
            **_constant("apiserver_storage_limit_bytes", f'{SERVER},pod="b"', 100),
        },
        "The storage is 90% full.",
        {"pod": "a"},
    ),
    "Metal3WorkloadsStorageSlow": Alert(
        _durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="update"', "0+0x90", "0+100x90"),
        {
            **_durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="update"', "0+100x90", "0+100x90"),
            **_durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="compact"', "0+0x90", "0+100x90"),
        },
        "The storage takes 1.981s to update.",
        {"operation": "update"},
    ),
    "Metal3WorkloadsStorageFailing": Alert(
        _counted("etcd_request_errors_total", f'{SERVER},operation="create"', 30),
        {
            **_counted("etcd_request_errors_total", f'{SERVER},operation="create"', 1),
            **_constant("metal3_workloads_watch_cache_failed", f'{SERVER},pod="a"', 0),
        },
        "The storage does not answer, or cannot be trusted.",
        {"operation": "create"},
    ),
    "Metal3WorkloadsCertificateExpires": Alert(
        _constant(EXPIRES, f'{SERVER},pod="a"', 3600 + 86400),
        _constant(EXPIRES, f'{SERVER},pod="a"', 3600 + 8 * 86400),
        "The serving certificate of a expires in 1d 0h 0m 0s.",
        {"pod": "a"},
    ),
    "Metal3WorkloadsWebhookFailing": Alert(
        _counted("apiserver_admission_webhook_rejection_count", f'{SERVER},name="w",error_type="calling_webhook_error"', 1),
        _counted("apiserver_admission_webhook_rejection_count", f'{SERVER},name="w",error_type="no_error"', 60),
        "The admission webhook w cannot be called.",
        {"name": "w"},
    ),
    "Metal3WorkloadsAuditEventsLost": Alert(
        _counted("apiserver_audit_error_total", f'{SERVER},pod="a",plugin="log"', 1),
        _constant("apiserver_audit_error_total", f'{SERVER},pod="a",plugin="log"', 7),
        "a lost audit events.",
        {"pod": "a"},
    ),
    "Metal3WorkloadsControllersDown": Alert(
        _constant("up", CONTROLLERS, 0),
        _constant("up", CONTROLLERS, 1),
        "No replica of the controllers runs.",
    ),
    "Metal3WorkloadsNoLeader": Alert(
        {
            **_constant("leader_election_master_status", f'{CONTROLLERS},pod="a"', 0),
            **_constant("leader_election_master_status", f'{CONTROLLERS},pod="b"', 0),
        },
        {
            **_constant("leader_election_master_status", f'{CONTROLLERS},pod="a"', 0),
            **_constant("leader_election_master_status", f'{CONTROLLERS},pod="b"', 1),
        },
        "No replica of the controllers leads.",
    ),
    "Metal3WorkloadsReconcileErrors": Alert(
        {
            **_counted("controller_runtime_reconcile_errors_total", f'{CONTROLLERS},controller="workload"', 50),
            **_counted("controller_runtime_reconcile_total", f'{CONTROLLERS},controller="workload",result="error"', 50),
            **_counted("controller_runtime_reconcile_total", f'{CONTROLLERS},controller="workload",result="success"', 50),
        },
        {
            **_counted("controller_runtime_reconcile_errors_total", f'{CONTROLLERS},controller="workload"', 5),
            **_counted("controller_runtime_reconcile_total", f'{CONTROLLERS},controller="workload",result="error"', 5),
            **_counted("controller_runtime_reconcile_total", f'{CONTROLLERS},controller="workload",result="success"', 95),
        },
        "50% of the reconciles of workload fail.",
        {"controller": "workload"},
    ),
    "Metal3WorkloadsQueueStuck": Alert(
        _constant("workqueue_depth", f'{CONTROLLERS},name="host"', 5000),
        {
            **_constant("workqueue_longest_running_processor_seconds", f'{CONTROLLERS},name="host"', 60),
            f'workqueue_depth{{{CONTROLLERS},name="host"}}': "5000-100x49 0+0x40",
        },
        "The controller host does not keep up.",
        {"name": "host"},
    ),
    "Metal3WorkloadsClusterUnreachable": Alert(
        {
            **_counted("rest_client_requests_total", f'{CONTROLLERS},host="h:6443",method="GET",code="<error>"', 30),
            **_counted("rest_client_requests_total", f'{CONTROLLERS},host="h:6443",method="GET",code="200"', 10),
        },
        {
            **_counted("rest_client_requests_total", f'{CONTROLLERS},host="h:6443",method="GET",code="404"', 30),
            **_counted("rest_client_requests_total", f'{CONTROLLERS},host="h:6443",method="GET",code="200"', 10),
        },
        "75% of the requests to h:6443 fail.",
        {"host": "h:6443"},
    ),
    "Metal3WorkloadsClassDisconnected": Alert(
        _constant("metal3_workloads_class_connected", f'{CONTROLLERS},class="metal"', 0),
        _constant("metal3_workloads_class_connected", f'{CONTROLLERS},class="metal"', 1),
        "The source of machines of the class metal does not answer.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsClassExhausted": Alert(
        {
            **_constant(WAITING, f'{CONTROLLERS},class="metal",reason="NoHostFits"', 3),
            **_constant(HOSTS, f'{CONTROLLERS},class="metal",state="free"', 0),
        },
        {
            **_constant(WAITING, f'{CONTROLLERS},class="metal",reason="NoHostFits"', 3),
            **_constant(HOSTS, f'{CONTROLLERS},class="metal",state="free"', 2),
            **_constant(WAITING, f'{CONTROLLERS},class="other",reason="HostNotFound"', 3),
            **_constant(HOSTS, f'{CONTROLLERS},class="other",state="free"', 0),
        },
        "The class metal has no free host, and 3 Workloads wait.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsWorkloadWaits": Alert(
        {f'metal3_workloads_oldest_waiting_seconds{{{CONTROLLERS},class="metal",reason="HostNotFound"}}': "0+60x90"},
        _constant("metal3_workloads_oldest_waiting_seconds", f'{CONTROLLERS},class="metal",reason="HostNotFound"', 600),
        "A Workload of the class metal has waited for a host for 1h 0m 0s: HostNotFound.",
        {"class": "metal", "reason": "HostNotFound"},
    ),
    "Metal3WorkloadsProvisioningFails": Alert(
        {f'metal3_workloads_provisioning_failures_total{{{CONTROLLERS},class="metal"}}': "0+0x50 1+0x40"},
        {
            **_constant("metal3_workloads_provisioning_failures_total", f'{CONTROLLERS},class="metal"', 7),
            f'metal3_workloads_provisioning_failures_total{{{CONTROLLERS},class="old"}}': "0+0x9 1+0x80",
        },
        "Installations on hosts of the class metal fail.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsClaimLost": Alert(
        {f'metal3_workloads_claims_lost_total{{{CONTROLLERS},class="metal"}}': "0+0x50 1+0x40"},
        _constant("metal3_workloads_claims_lost_total", f'{CONTROLLERS},class="metal"', 1),
        "A Workload of the class metal lost its machine.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsReleaseHangs": Alert(
        _constant("metal3_workloads_oldest_releasing_seconds", f'{CONTROLLERS},class="metal"', 5400),
        _constant("metal3_workloads_oldest_releasing_seconds", f'{CONTROLLERS},class="metal"', 1200),
        "A host of the class metal has been released for 1h 30m 0s.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsHostsUnhealthy": Alert(
        {
            **_constant(HOSTS, f'{CONTROLLERS},class="metal",state="unhealthy"', 1),
            **_constant(HOSTS, f'{CONTROLLERS},class="metal",state="claimed"', 3),
        },
        {
            **_constant(HOSTS, f'{CONTROLLERS},class="metal",state="unhealthy"', 1),
            **_constant(HOSTS, f'{CONTROLLERS},class="metal",state="free"', 99),
            **_constant(HOSTS, f'{CONTROLLERS},class="other",state="unhealthy"', 0),
        },
        "25% of the hosts of the class metal are unhealthy.",
        {"class": "metal"},
    ),
}
