"""Hold what all controllers share: one client, one informer per kind, one event recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from apiserver.apis.host import uid_of_view
from apiserver.apis.workload import host_of, named_secrets
from apiserver.client.client import Client
from apiserver.client.clock import timestamp
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, Resource, key_of, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.classaccess import names_namespace
from controllers.owners import controlling_set
from controllers.quotacharges import charge_key
from controllers.runtime.conditions import set_conditions
from controllers.runtime.events import EventRecorder
from controllers.secrets import Secrets
from controllers.unhealthymarks import Marks


@dataclass(frozen=True)
class Cluster:
    """The management cluster. Of secrets, only names and versions are kept.

    `sets` is none of the `informers` that all controllers wait for, because an API server of an
    earlier version has no sets. The controller of sets runs it."""

    client: Client
    workloads: Informer
    classes: Informer
    hosts: Informer
    namespaces: Informer
    sets: Informer
    secrets: Secrets
    events: EventRecorder
    view_group: str = "metal3.io"
    marks: Marks = field(default_factory=Marks)

    @property
    def informers(self) -> list[Informer]:
        return [self.workloads, self.classes, self.hosts, self.namespaces]

    def uid_of_workload(self, key: str) -> str:
        """Return the uid of a Workload as last seen, "" if it is unknown."""
        workload = self.workloads.store.get(key)
        return uid_of(workload) if workload is not None else ""

    async def patch_status(self, resource: Resource, obj: Object, changes: Object) -> Object:
        """Merge-patch the status if that changes anything. Return the resulting object.

        The patch has the resourceVersion, because the server may remove a Workload's host and phase
        between the read and this write."""
        current = obj.get("status") or {}
        different = {key: value for key, value in changes.items() if current.get(key) != value}
        if not different:
            return obj
        patch = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": different}
        written = await self.client.patch(resource, name_of(obj), patch, namespace_of(obj), subresource="status")
        self.learn(resource, written)
        return written

    def learn(self, resource: Resource, written: Object) -> None:
        """Store the answer of a write in the informer of its kind, for all controllers."""
        for informer in self.informers:
            if informer.resource == resource:
                informer.learn(written)


def connect(client: Client, *, view_group: str = "metal3.io", component: str = "metal3-workloads") -> Cluster:
    """Return the cluster behind this client. A manager must run its informers."""
    workloads = Informer(client, kinds.WORKLOADS, indexers=WORKLOAD_INDEXERS, transform=without_managers)
    classes = Informer(client, kinds.CLASSES, indexers={"secret": _credentials_key}, transform=without_managers)
    namespaces = Informer(client, kinds.NAMESPACES)
    cluster = Cluster(
        client,
        workloads=workloads,
        classes=classes,
        hosts=Informer(client, kinds.HOSTS, indexers=HOST_INDEXERS, transform=_without_history),
        namespaces=namespaces,
        sets=Informer(client, kinds.SETS, transform=without_managers),
        secrets=Secrets(
            client,
            tenants_name=lambda key: workloads.store.has("secret", key) and is_admitted(cluster, key.partition("/")[0]),
            class_names=lambda key: classes.store.has("secret", key),
        ),
        events=EventRecorder(client, component),
        view_group=view_group,
    )
    _follow_secrets(cluster)
    return cluster


def _follow_secrets(cluster: Cluster) -> None:
    """Follow the secrets that classes, and Workloads with hosts, name."""

    def workload_changed(old: Object | None, new: Object | None) -> None:
        cluster.secrets.reconsider(_differing(secret_keys, old, new))

    def class_changed(old: Object | None, new: Object | None) -> None:
        cluster.secrets.reconsider(_differing(_credentials_key, old, new))
        if _differing(_admission_rules, old, new):
            cluster.secrets.reconsider(cluster.workloads.store.values("secret"))

    def namespace_changed(old: Object | None, new: Object | None) -> None:
        if _differing(_labels_items, old, new):
            found = cluster.workloads.store.by_index("namespace", name_of(new or old or {}))
            cluster.secrets.reconsider({key for workload in found for key in secret_keys(workload)})

    cluster.workloads.add_handler(workload_changed)
    cluster.classes.add_handler(class_changed)
    cluster.namespaces.add_handler(namespace_changed)


def _differing(of: Callable[[Object], list[str]], old: Object | None, new: Object | None) -> set[str]:
    """Return the elements that `of` returns for only one of the two states."""
    return set(of(old) if old is not None else ()) ^ set(of(new) if new is not None else ())


def _admission_rules(class_: Object) -> list[str]:
    return [repr(class_["spec"].get("allowedNamespaces"))]


def _labels_items(namespace: Object) -> list[str]:
    return [name_of(namespace), *(f"{key}={value}" for key, value in labels_of(namespace).items())]


def is_admitted(cluster: Cluster, namespace: str) -> bool:
    """Return whether the rules of any class name the namespace.

    A class that is being deleted counts, because its hosts are still in use."""
    known = cluster.namespaces.store.get(namespace)
    return known is not None and any(names_namespace(class_, known) for class_ in cluster.classes.store)


def claimed_host(cluster: Cluster, workload: Object) -> Object | None:
    """Return the Host that this Workload has, as last seen, or None.

    The claim of a new host may be visible before the end of the old claim."""
    claimed = [
        host
        for host in cluster.hosts.store.by_index("claim", key_of(workload))
        if host["spec"]["claimRef"]["uid"] == workload["metadata"]["uid"]
    ]
    recorded = host_of(workload)
    if recorded:
        claimed = [host for host in claimed if uid_of_view(host["spec"]["source"], namespace_of(workload)) == recorded["uid"]]
    return claimed[0] if claimed else None


def cluster_id(cluster: Cluster) -> str:
    """Return the ID of this management cluster: the uid of its namespace kube-system, "" if
    unknown."""
    system = cluster.namespaces.store.get("kube-system")
    return uid_of(system) if system is not None else ""


def with_conditions(obj: Object, wanted: list[Object]) -> list[Object]:
    """Return the object's conditions with the wanted ones set."""
    return set_conditions((obj.get("status") or {}).get("conditions"), wanted, timestamp())


def secret_keys(workload: Object) -> list[str]:
    """Return the keys of the secrets that the Workload names, once it has a host to use them on."""
    if not host_of(workload):
        return []
    return sorted({f"{namespace_of(workload)}/{name}" for name in named_secrets(workload["spec"]).values()})


def _class_of(obj: Object) -> list[str]:
    return [obj["spec"].get("className") or ""]


def _set_of(workload: Object) -> list[str]:
    """Return the namespace and the uid of the set that controls the Workload.

    A tenant may name any uid as the controller. The namespace in the key keeps such a Workload from
    the sets of other namespaces."""
    owner = controlling_set(workload)
    return [f"{namespace_of(workload)}/{owner['uid']}"] if owner is not None else []


def _claim_keys(host: Object) -> list[str]:
    claim = host["spec"].get("claimRef")
    return [f"{claim['namespace']}/{claim['name']}"] if claim else []


def _namespaces_of(host: Object) -> list[str]:
    """Return the namespaces that claim the Host, that it is charged to, or whose data or held claim
    it has."""
    spec, status = host["spec"], host.get("status") or {}
    found = [(owner or {}).get("namespace") for owner in (spec.get("claimRef"), spec.get("chargedTo"), status.get("held"))]
    return sorted({name for name in (*found, status.get("dirtyFor")) if name})


def recovered_key(host: Object) -> list[str]:
    """Return the key of the lost Workload whose successor gets the host back."""
    held = (host.get("status") or {}).get("held") or {}
    if not held.get("recovered") or host["spec"].get("claimRef"):
        return []
    return [f"{held['namespace']}/{held['spec']['consumerRef']['name']}"]


def _reservation_uid(host: Object) -> list[str]:
    reservation = host["spec"].get("reservedFor")
    return [reservation["uid"]] if reservation else []


def gang_key(workload: Object) -> list[str]:
    """Return the namespace and name of the gang that the Workload belongs to."""
    gang = workload["spec"].get("gang")
    return [f"{namespace_of(workload)}/{gang['name']}"] if gang else []


def _keeps_apart(workload: Object) -> list[str]:
    """Return the namespace of a Workload whose anti-affinity keeps others away."""
    apart = (workload["spec"].get("placement") or {}).get("antiAffinity") or {}
    return [namespace_of(workload)] if apart.get("required") else []


WORKLOAD_INDEXERS: dict[str, Callable[[Object], Iterable[str]]] = {
    "secret": secret_keys,
    "class": _class_of,
    "apart": _keeps_apart,
    "gang": gang_key,
    "set": _set_of,
}
HOST_INDEXERS: dict[str, Callable[[Object], Iterable[str]]] = {
    "claim": _claim_keys,
    "charge": charge_key,
    "class": _class_of,
    "namespace": _namespaces_of,
    "recovered": recovered_key,
    "reservation": _reservation_uid,
}


def _credentials_key(class_: Object) -> list[str]:
    reference = class_["spec"].get("credentialsSecretRef")
    return [f"{reference['namespace']}/{reference['name']}"] if reference else []


def without_managers(obj: Object) -> Object:
    """Return the object without managedFields, which are as large as the rest.

    A PUT without them leaves them unchanged."""
    metadata = obj["metadata"]
    if "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _without_history(host: Object) -> Object:
    """Return the Host without managedFields and without the history of its claims.

    The server keeps the history, whatever status the controllers write."""
    host = without_managers(host)
    status = host.get("status") or {}
    if "history" not in status:
        return host
    return {**host, "status": {key: value for key, value in status.items() if key != "history"}}


def tenancy_of(namespace: Object) -> tuple[object, ...]:
    """Return the parts of a namespace that decide which hosts its Workloads may have."""
    return uid_of(namespace), namespace["metadata"].get("labels")
