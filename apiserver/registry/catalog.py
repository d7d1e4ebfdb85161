"""Create and connect all registries of the management cluster's kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from apiserver.apis import metal3
from apiserver.registry import hardwaredata
from apiserver.registry.baremetalhost import BareMetalHostViewRegistry
from apiserver.registry.claims.claims import Claims
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.regroupedregistry import RegroupedRegistry
from apiserver.registry.generic.strategy import Admission
from apiserver.registry.hardwaredata import HardwareDataRegistry
from apiserver.registry.host import HostRegistry
from apiserver.registry.reservation import ReservationRegistry
from apiserver.registry.usagerecord import UsageRecordRegistry
from apiserver.registry.workload import WorkloadRegistry
from apiserver.registry.workloadclass import WorkloadClassRegistry
from apiserver.registry.workloadset import WorkloadSetRegistry
from storage.cache import WatchCache


@dataclass(frozen=True, slots=True)
class Catalog:
    """The registries by kind."""

    classes: WorkloadClassRegistry
    workloads: WorkloadRegistry
    hosts: HostRegistry
    views: BareMetalHostViewRegistry
    hardware: HardwareDataRegistry
    sets: WorkloadSetRegistry
    usage: UsageRecordRegistry
    reservations: ReservationRegistry

    @property
    def registries(self) -> tuple[Registry, ...]:
        """Return all registries in the order of discovery."""
        own = (self.workloads, self.classes, self.hosts, self.sets, self.usage, self.reservations)
        return (*own, self.views, self.hardware)

    @property
    def background(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the tasks that every server runs for its objects, by name."""
        return {"heartbeat": self.workloads.heartbeat.run, "records of use": self.usage.keep}


def management_catalog(
    cache: WatchCache, *, admission: Admission | None = None, view_group: str = metal3.GROUP, namespaces: Namespaces | None = None
) -> Catalog:
    """Return the registries over `cache`, which must not be started yet.

    `view_group` is the API group of the BareMetalHost view. `namespaces` is the source of
    namespaces, because claims record their uids."""
    claims = Claims(namespaces)
    classes = WorkloadClassRegistry(cache, admission)
    workloads = WorkloadRegistry(cache, claims, classes, admission)
    hosts = HostRegistry(cache, claims, admission)
    views = BareMetalHostViewRegistry(cache, claims, admission, view_group)
    usage, reservations = UsageRecordRegistry(cache, hosts), ReservationRegistry(cache, admission)
    claims.connect(workloads, hosts, views, classes, usage, reservations)
    sets = WorkloadSetRegistry(cache, classes, admission)
    return Catalog(classes, workloads, hosts, views, HardwareDataRegistry(views), sets, usage, reservations)


def gateway_views(catalog: Catalog) -> tuple[Registry, ...]:
    """Return the registries of the view's kinds in BMO's group, over the same objects.

    Call it before the cache is started."""
    views = RegroupedRegistry(catalog.views, metal3.GROUP, hardwaredata.INDEXERS)
    return (views, HardwareDataRegistry(views))
