"""Compose all controllers of one management cluster, for a separate process or for dev mode."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from apiserver.client.client import Client
from apiserver.client.direct import ShortcutClient
from apiserver.client.kubeconfig import Source
from controllers import kinds
from controllers.backupmetrics import BackupMetrics
from controllers.cluster import Cluster, cluster_id, connect
from controllers.consumer.controller import ConsumerController, Waits
from controllers.fleetmetrics import follow
from controllers.host.controller import HostController
from controllers.offer.controller import OfferController
from controllers.reservation.controller import ReservationController
from controllers.runtime.leader import AlwaysLeader, LeaderElector, LeaseElector, Timing, replica
from controllers.runtime.manager import Manager
from controllers.scheduler.controller import Scheduler
from controllers.usagemetrics import UsageFollower
from controllers.workload.controller import PATIENCE, WorkloadController
from controllers.workloadclass.controller import ClassController
from controllers.workloadclass.providers import GRACE, Sources
from controllers.workloadset.controller import WorkloadSetController

log = logging.getLogger(__name__)

SYSTEM_NAMESPACE = "metal3-workloads-system"
LEASE = "metal3-workloads-controllers"


class Health:
    """Tells whether the controllers work.

    `problem()` is None if they do, or if another replica leads and this one could take over."""

    def __init__(self) -> None:
        self.manager: Manager | None = None
        self.elector: LeaderElector | None = None
        self.started = asyncio.Event()

    def problem(self) -> str | None:
        """Return why the controllers do not work at present, or None."""
        if self.manager is not None:
            return self.manager.unhealthy()
        return self.elector.problem() if self.elector is not None else "starting"


def compose(
    client: Client,
    *,
    view_group: str = "metal3.io",
    consumer_waits: Waits | None = None,
    binding_patience: float = PATIENCE,
    source_grace: float = GRACE,
) -> tuple[Manager, Cluster, Sources]:
    """Return the manager with all controllers, ready to run.

    binding_patience: see workload.controller.PATIENCE. source_grace: see
    workloadclass.providers.GRACE."""
    cluster, manager = connect(client, view_group=view_group), Manager()
    sources = Sources(has_host=lambda name: name in cluster.hosts.store, cluster_id=partial(cluster_id, cluster), grace=source_grace)
    for informer in cluster.informers:
        manager.informer(informer)
    manager.optional(cluster.sets)
    manager.add(cluster.events)
    manager.add(cluster.secrets)
    scheduler = Scheduler(cluster)
    workloads = WorkloadController(cluster, sources, scheduler, patience=binding_patience)
    reservations = ReservationController(cluster, scheduler)
    manager.collectors.append(reservations.metrics)
    manager.optional(reservations.reservations)
    for controller in (
        ClassController(cluster, sources),
        HostController(cluster, sources, workloads),
        OfferController(cluster),
        scheduler,
        workloads,
        ConsumerController(cluster, consumer_waits or Waits()),
        WorkloadSetController(cluster),
        reservations,
    ):
        manager.add(controller)
    return manager, cluster, sources


async def run_controllers(
    management: Source,
    *,
    context: str | None = None,
    leader_elect: bool = False,
    namespace: str = SYSTEM_NAMESPACE,
    timing: Timing | None = None,
    view_group: str = "metal3.io",
    apiserver: str = "",
    health: Health | None = None,
    registry: CollectorRegistry | None = None,
) -> None:
    """Run all controllers until cancelled.

    management: a kubeconfig's path, a kubeconfig as a dict, or None for the pod's service account.

    leader_elect: work only while holding the Lease in `namespace`. Raises LeadershipLost if it is
    lost, so that the process is restarted.

    apiserver: the URL of the API server for requests about its own kinds; "" to use kube-apiserver.

    registry: takes the metrics of the fleet while this replica leads.

    Raises BadConfig at once if the configuration cannot be used. Failures of the server are
    retried."""
    health, identity = health or Health(), replica()
    # The identity in the user agent shows in the audit log which replica sent a request.
    agent = f"metal3-workloads-controllers/{identity}"
    async with _client(management, context, agent, apiserver, view_group) as client:

        async def lead() -> None:
            manager, cluster, _ = compose(client, view_group=view_group)
            health.manager = manager
            telling = asyncio.ensure_future(_tell_started(manager, health))
            collectors: list[Collector] = [follow(cluster), *manager.collectors]
            if registry is not None:
                backups, usage = BackupMetrics(client, namespace), UsageFollower(client)
                manager.add(backups)
                manager.add(usage)
                manager.optional(usage.records)
                collectors += [backups, usage.metrics]
            try:
                with _measured(collectors, registry):
                    await manager.run()
            finally:
                telling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await telling

        elector: LeaderElector = LeaseElector(client, namespace, LEASE, timing, identity=identity) if leader_elect else AlwaysLeader(LEASE)
        health.elector = elector
        await elector.run(lead)


@contextlib.contextmanager
def _measured(collectors: Sequence[Collector], registry: CollectorRegistry | None) -> Iterator[None]:
    """Export the metrics of the fleet during the block. Only a leader knows the fleet."""
    with contextlib.ExitStack() as stack:
        if registry is not None:
            for collector in collectors:
                registry.register(collector)
                stack.callback(registry.unregister, collector)
        yield


def _client(management: Source, context: str | None, agent: str, apiserver: str, view_group: str) -> Client:
    if not apiserver:
        return Client(management, context=context, user_agent=agent)
    groups = sorted({kinds.GROUP, view_group})
    service = f"{kinds.VERSION}.{kinds.GROUP}"
    return ShortcutClient(management, url=apiserver, groups=groups, api_service=service, context=context, user_agent=agent)


async def _tell_started(manager: Manager, health: Health) -> None:
    await manager.started.wait()
    health.started.set()
    log.info("the controllers work")
