"""Define the series that make each alert fire, and those of a day on which it must not fire."""

from __future__ import annotations

from dataclasses import dataclass, field

SERVER, CONTROLLERS = 'job="metal3-workloads-apiserver"', 'job="metal3-workloads-controllers"'
UNEVALUATED = "metal3_workloads_admission_evaluation_failures_total"
EXPIRES = "metal3_workloads_serving_certificate_expiration_timestamp_seconds"
DURATION = "apiserver_request_duration_seconds_bucket"
DELAY = "apiserver_event_loop_delay_seconds_bucket"
WAITING = "metal3_workloads_workloads_waiting"
HOSTS = "metal3_workloads_hosts"
OBJECTS = "apiserver_resource_objects"
FAILED = "metal3_workloads_watch_cache_failed"
ERRORS = "etcd_request_errors_total"
OLDEST = "metal3_workloads_oldest_waiting_seconds"
TENANTS_REASONS = (
    *("NoHosts", "NoHostFits", "QuotaExceeded", "HostNotFound", "HostNotFree", "HostNotAvailable", "HostOfOtherClass"),
    *("HostTaken", "HostTakenBack", "HostReleased", "HostGone", "HandedBack"),
    *("NoDefaultClass", "ClassNotFound", "ClassDeleting", "ClassGone", "NamespaceNotAllowed", "TooComplex"),
    *("ImageNotAllowed", "DeployMethodNotAllowed", "RetainNotAllowed", "GangIncomplete", "GangWaits"),
)
"""The reasons of waiting Workloads that the alert about waiting leaves out: the tenant has to act,
or another alert fires."""
SETS, FOLLOWED = "metal3_workloads_workloadsets", "metal3_workloads_workloadsets_followed"
LEASES = "metal3_workloads_leases"
KEPT, STALLED = "metal3_workloads_reservation_hosts", "metal3_workloads_reservation_stalled"
RESERVATIONS_FOLLOWED, USAGE_FOLLOWED = "metal3_workloads_reservations_followed", "metal3_workloads_usagerecords_followed"
USAGE_WRITTEN = "metal3_workloads_usagerecords_written"
_REGISTERED = "metal3_workloads_apiservice_registered"
_RESERVATION = 'namespace="a",reservation="launch",class="metal"'
BACKED_UP = "metal3_workloads_backup_last_success_timestamp_seconds"


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


def _hosts(class_name: str, **numbers: int) -> dict[str, str]:
    return {f'{HOSTS}{{{CONTROLLERS},class="{class_name}",state="{state}"}}': f"{number}+0x90" for state, number in numbers.items()}


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
    ),
    "Metal3WorkloadsStorageSlow": Alert(
        _durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="revision"', "0+0x90", "0+100x90"),
        {
            **_durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="list"', "0+0x90", "0+100x90"),
            **_durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="update"', "0+100x90", "0+100x90"),
            **_durations("etcd_request_duration_seconds_bucket", f'{SERVER},operation="compact"', "0+0x90", "0+100x90"),
        },
        "The storage takes 1.981s to revision.",
        {"operation": "revision"},
    ),
    "Metal3WorkloadsStorageFailing": Alert(
        {**_counted(ERRORS, f'{SERVER},operation="create"', 4), **_counted(ERRORS, f'{SERVER},operation="get"', 4)},
        {**_counted(ERRORS, f'{SERVER},operation="create"', 1), **_constant(FAILED, f'{SERVER},pod="a"', 0)},
        "The storage does not answer.",
    ),
    "Metal3WorkloadsWatchCacheFailed": Alert(
        # the liveness probe ends the process within a minute
        {f'{FAILED}{{{SERVER},pod="a"}}': "0+0x54 1 0+0x40"},
        {f'{FAILED}{{{SERVER},pod="a"}}': "0+0x9 1 0+0x80"},
        "The API server stopped, because what it read from the storage cannot be trusted.",
    ),
    "Metal3WorkloadsBackupTooOld": Alert(
        _constant(BACKED_UP, f'{CONTROLLERS},cronjob="metal3-workloads-backup",pod="a"', 3600 - 14 * 3600),
        {
            **_constant(BACKED_UP, f'{CONTROLLERS},cronjob="metal3-workloads-backup",pod="a"', 3600 - 7 * 3600),
            **_constant(BACKED_UP, f'{CONTROLLERS},cronjob="metal3-workloads-etcd-backup",pod="a"', 3600 - 7 * 3600),
            **_constant(BACKED_UP, 'job="other",cronjob="metal3-workloads-backup"', 0),
        },
        "The last backup of metal3-workloads-backup is 14h 0m 0s old.",
        {"cronjob": "metal3-workloads-backup"},
    ),
    "Metal3WorkloadsCertificateExpires": Alert(
        _constant(EXPIRES, f'{SERVER},pod="a"', 3600 + 86400),
        _constant(EXPIRES, f'{SERVER},pod="a"', 3600 + 8 * 86400),
        "A serving certificate of the API server expires in 1d 0h 0m 0s.",
    ),
    "Metal3WorkloadsWebhookFailing": Alert(
        _counted("apiserver_admission_webhook_rejection_count", f'{SERVER},name="w",error_type="calling_webhook_error"', 1),
        _counted("apiserver_admission_webhook_rejection_count", f'{SERVER},name="w",error_type="no_error"', 60),
        "The admission webhook w cannot be called.",
        {"name": "w"},
    ),
    "Metal3WorkloadsPolicyFailing": Alert(
        _counted(UNEVALUATED, f'{SERVER},name="p",kind="ValidatingAdmissionPolicy",failure_policy="Fail"', 1),
        _constant(UNEVALUATED, f'{SERVER},name="p",kind="ValidatingAdmissionPolicy",failure_policy="Fail"', 7),
        "The ValidatingAdmissionPolicy p cannot be evaluated.",
        {"name": "p", "kind": "ValidatingAdmissionPolicy"},
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
        {f'{OLDEST}{{{CONTROLLERS},class="metal",reason="Unscheduled"}}': "0+60x90"},
        {
            **{f'{OLDEST}{{{CONTROLLERS},class="metal",reason="{reason}"}}': "0+60x90" for reason in TENANTS_REASONS},
            **_constant(OLDEST, f'{CONTROLLERS},class="metal",reason="Unscheduled"', 600),
            f'{OLDEST}{{{CONTROLLERS},class="gone",reason="ClassNotReady"}}': "0+60x90",
            **_constant("metal3_workloads_class_connected", f'{CONTROLLERS},class="gone"', 0),
        },
        "A Workload of the class metal has waited for a host for 1h 0m 0s.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsStoreLost": Alert(
        _hosts("metal", orphaned=3, free=5, claimed=0),
        {
            **_hosts("metal", orphaned=3, abandoned=3, claimed=3),
            **_constant(OBJECTS, f'{SERVER},resource="workloadclasses"', 1),
            f'{OBJECTS}{{{SERVER},resource="workloads"}}': "9-1x8 0+0x80",
        },
        "The store has lost the Workloads of machines that run.",
    ),
    "Metal3WorkloadsHostsWithoutWorkload": Alert(
        _hosts("metal", orphaned=1, abandoned=2, claimed=40),
        _hosts("metal", orphaned=0, abandoned=0, claimed=40, unhealthy=1),
        "3 hosts of the class metal run for Workloads that the store does not have.",
        {"class": "metal"},
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
    "Metal3WorkloadsSetRefused": Alert(
        {
            **_constant(SETS, f'{CONTROLLERS},class="metal",state="refused",pod="a"', 2),
            **_constant(SETS, f'{CONTROLLERS},class="metal",state="ready",pod="a"', 5),
        },
        {
            **_constant(SETS, f'{CONTROLLERS},class="metal",state="quota"', 3),
            **_constant(SETS, f'{CONTROLLERS},class="metal",state="stalled"', 3),
            **_constant(SETS, f'{CONTROLLERS},class="metal",state="refused"', 0),
            f'{SETS}{{{CONTROLLERS},class="other",state="refused"}}': "0+0x40 1+0x18 0+0x40",
        },
        "The API server refuses members of 2 WorkloadSets of the class metal.",
        {"class": "metal"},
    ),
    "Metal3WorkloadsSetsNotFollowed": Alert(
        {**_constant(FOLLOWED, CONTROLLERS, 0), **_constant(_REGISTERED, f'{SERVER},apiservice="v1alpha1.workload.metal3.io"', 1)},
        {
            **_constant(FOLLOWED, f'{CONTROLLERS},pod="a"', 0),
            **_constant(_REGISTERED, f'{SERVER},apiservice="v1alpha1.workload.metal3.io"', 0),
        },
        "The controllers cannot read WorkloadSets.",
    ),
    "Metal3WorkloadsReservationShort": Alert(
        {
            **_constant(KEPT, f'{CONTROLLERS},{_RESERVATION},state="missing",pod="a"', 2),
            **_constant(KEPT, f'{CONTROLLERS},{_RESERVATION},state="used",pod="a"', 3),
        },
        {
            **_constant(KEPT, f'{CONTROLLERS},{_RESERVATION},state="missing"', 0),
            **_constant(KEPT, f'{CONTROLLERS},{_RESERVATION},state="available"', 3),
            f'{KEPT}{{{CONTROLLERS},namespace="b",reservation="r",class="metal",state="missing"}}': "5+0x40 0 2+0x48",
        },
        "The Reservation launch of a has lacked hosts for an hour, 2 at present.",
        {"namespace": "a", "reservation": "launch", "class": "metal"},
        at=80,
    ),
    "Metal3WorkloadsReservationStalled": Alert(
        {
            f'{STALLED}{{{CONTROLLERS},{_RESERVATION},pod="a"}}': "1+0x30 stale",
            f'{STALLED}{{{CONTROLLERS},{_RESERVATION},pod="b"}}': "_x30 1+0x60",
        },
        {
            **_constant(STALLED, f"{CONTROLLERS},{_RESERVATION}", 0),
            f'{STALLED}{{{CONTROLLERS},namespace="b",reservation="r",class="gone"}}': "0+0x50 1+0x9 0+0x30",
        },
        "The Reservation launch of a keeps no hosts.",
        {"namespace": "a", "reservation": "launch", "class": "metal"},
    ),
    "Metal3WorkloadsReservationsNotFollowed": Alert(
        {
            **_constant(RESERVATIONS_FOLLOWED, CONTROLLERS, 0),
            **_constant(FOLLOWED, CONTROLLERS, 1),
            **_constant(_REGISTERED, f'{SERVER},apiservice="v1alpha1.workload.metal3.io"', 1),
        },
        {
            **_constant(RESERVATIONS_FOLLOWED, f'{CONTROLLERS},pod="a"', 0),
            **_constant(_REGISTERED, f'{SERVER},apiservice="v1alpha1.workload.metal3.io"', 0),
        },
        "The controllers cannot read Reservations.",
    ),
    "Metal3WorkloadsUsageNotFollowed": Alert(
        {
            **_constant(USAGE_FOLLOWED, CONTROLLERS, 0),
            **_constant(_REGISTERED, f'{SERVER},apiservice="v1alpha1.workload.metal3.io"', 1),
        },
        {
            **_constant(USAGE_FOLLOWED, f'{CONTROLLERS},pod="a"', 0),
            **_constant(_REGISTERED, f'{SERVER},apiservice="v1alpha1.workload.metal3.io"', 0),
        },
        "The controllers cannot read UsageRecords.",
    ),
    "Metal3WorkloadsUsageNotRecorded": Alert(
        {**_constant(USAGE_WRITTEN, f'{SERVER},pod="a"', 0), **_constant(USAGE_WRITTEN, f'{SERVER},pod="b"', 1)},
        {
            **_constant(USAGE_WRITTEN, f'{SERVER},pod="a"', 1),
            f'{USAGE_WRITTEN}{{{SERVER},pod="b"}}': "1+0x50 0+0x12 1+0x30",
        },
        "Missing UsageRecords cannot be written.",
    ),
    "Metal3WorkloadsLeaseNotEnded": Alert(
        _constant(LEASES, f'{CONTROLLERS},class="metal",state="ended"', 2),
        {
            **_constant(LEASES, f'{CONTROLLERS},class="metal",state="ending"', 2),
            f'{LEASES}{{{CONTROLLERS},class="metal",state="ended"}}': "0+0x50 1+0x8 0+0x40",
        },
        "2 Workloads of the class metal outlive their lease.",
        {"class": "metal"},
    ),
}


def _requests(host: str, code: str) -> dict[str, str]:
    return _counted("rest_client_requests_total", f'{CONTROLLERS},host="{host}",method="GET",code="{code}"', 60)


def _refused(code: str) -> dict[str, str]:
    return _counted("apiserver_request_total", f'{SERVER},resource="workloads",verb="POST",code="{code}"', 60)


def _of_replicas(name: str, labels: str, value: float) -> dict[str, str]:
    return {**_constant(name, f'{labels},pod="a"', value), **_constant(name, f'{labels},pod="b"', value)}


def _failing(*operations: str) -> dict[str, str]:
    return {
        name: each for operation in operations for name, each in _counted(ERRORS, f'{SERVER},operation="{operation}",pod="a"', 60).items()
    }


_SERVED = {
    **_of_replicas("up", SERVER, 1),
    **_of_replicas("up", CONTROLLERS, 1),
    **_constant("leader_election_master_status", CONTROLLERS, 1),
}
_UNREGISTERED = {
    name: each
    for group in ("workload.metal3.io", "metal3.io")
    for name, each in _of_replicas(_REGISTERED, f'{SERVER},apiservice="v1alpha1.{group}"', 0).items()
}
CAUSES: dict[str, tuple[dict[str, str], str]] = {
    "no server": (
        {**_SERVED, **_of_replicas("up", SERVER, 0), **_requests("10.0.0.1:443", "503"), **_hosts("metal", claimed=3)},
        "Metal3WorkloadsAPIServerDown",
    ),
    "no controllers": (
        {**_SERVED, **_of_replicas("up", CONTROLLERS, 0), f"leader_election_master_status{{{CONTROLLERS}}}": "1x9 stale"},
        "Metal3WorkloadsControllersDown",
    ),
    "etcd does not answer, so that no replica is ready": (
        {**_SERVED, **_failing("create", "update", "revision"), **_refused("503"), **_requests("10.0.0.1:443", "503"), **_UNREGISTERED},
        "Metal3WorkloadsStorageFailing",
    ),
    "etcd is full": (
        {
            **_SERVED,
            **_failing("create", "update"),
            **_refused("503"),
            **_of_replicas("apiserver_storage_full", SERVER, 1),
            **_of_replicas("apiserver_storage_size_bytes", SERVER, 100),
            **_of_replicas("apiserver_storage_limit_bytes", SERVER, 100),
        },
        "Metal3WorkloadsStorageFull",
    ),
    "etcd was restored from an older state": (
        {**_SERVED, **_failing("create", "revision"), f'{FAILED}{{{SERVER},pod="a"}}': "0+0x50 1 0 1 0 1 0+0x40"},
        "Metal3WorkloadsWatchCacheFailed",
    ),
    "a hardware cluster does not answer": (
        {
            **_SERVED,
            **_constant("metal3_workloads_class_connected", f'{CONTROLLERS},class="metal"', 0),
            f'{OLDEST}{{{CONTROLLERS},class="metal",reason="ClassNotReady"}}': "0+60x90",
            **_requests("hardware:6443", "<error>"),
        },
        "Metal3WorkloadsClassDisconnected",
    ),
    "a lost volume: the server starts with nothing": (
        {
            **_SERVED,
            f'{OBJECTS}{{{SERVER},resource="workloadclasses",pod="a"}}': "1+0x29 0+0x60",
            f'{OBJECTS}{{{SERVER},resource="workloads",pod="a"}}': "7+0x29 0+0x60",
        },
        "Metal3WorkloadsStoreLost",
    ),
    "a lost volume, and GitOps applies the classes again": (
        {
            **_SERVED,
            f'{OBJECTS}{{{SERVER},resource="workloadclasses",pod="a"}}': "1+0x29 0 1+0x60",
            f'{OBJECTS}{{{SERVER},resource="workloads",pod="a"}}': "7+0x29 0+0x60",
            f'{HOSTS}{{{CONTROLLERS},class="metal",state="claimed"}}': "7+0x29 0+0x60",
            f'{HOSTS}{{{CONTROLLERS},class="metal",state="orphaned"}}': "0+0x29 7+0x60",
        },
        "Metal3WorkloadsStoreLost",
    ),
    "a damaged store: most claims have no Workload": (
        {**_SERVED, **_hosts("metal", abandoned=4, claimed=3, free=3), **_constant(OBJECTS, f'{SERVER},resource="workloadclasses"', 1)},
        "Metal3WorkloadsStoreLost",
    ),
    "both certificates of the replicas expire": (
        {**_SERVED, **_of_replicas(EXPIRES, SERVER, 3600 + 86400)},
        "Metal3WorkloadsCertificateExpires",
    ),
}
"""Troubles, each with the series that it leads to, and the only critical alert that fires."""
