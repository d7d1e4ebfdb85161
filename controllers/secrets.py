"""Read the secrets that Workloads and classes name, and watch their metadata one by one.

Nothing lists secrets, and nothing is requested about a secret that no object names. kubelet follows
the secrets of its pods in the same way. A watch is a connection, so their number is bounded. A
secret without a watch is read again after a while.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from functools import partial

from apiserver.client.client import Client
from apiserver.client.clock import Backoff
from apiserver.client.errors import ApiException, BadConfig, describe
from apiserver.client.objects import Object, labels_of, name_of, uid_of
from controllers import kinds

log = logging.getLogger(__name__)

MOST, MOST_OF_NAMESPACE = 512, 128
"""The most watches of tenants' secrets, in all and of one namespace.

The owner's secrets for classes are not counted."""
TRUST = 300.0
"""The seconds for which the version of a secret without a watch is valid."""
WATCH_SECONDS = 1800
MOST_DELAY = 30.0
"""The longest delay between two attempts to watch, in seconds."""
VALID = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
READER_ROLE = "metal3-workloads-secrets"
"""The ClusterRole to bind in each namespace whose secrets are read."""
_TOKENS = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
_KUBECONFIG = "-kubeconfig"
_KEYS = ("-ca", "-cca", "-etcd", "-proxy", "-sa", "-apiserver-etcd-client")
_CLUSTER_API = "cluster.x-k8s.io/secret"
_CLUSTER_NAME = "cluster.x-k8s.io/cluster-name"


class Secrets:
    """Holds the known versions of secrets, never their values. `reconsider` decides which secrets
    are followed.

    `tenants_name(key)` returns whether a Workload with a host names the secret, in a namespace that
    a class allows. `class_names(key)` returns whether a class names it."""

    def __init__(
        self,
        client: Client,
        *,
        tenants_name: Callable[[str], bool],
        class_names: Callable[[str], bool],
        most: int = MOST,
        most_of_namespace: int = MOST_OF_NAMESPACE,
        trust: float = TRUST,
    ) -> None:
        self._client, self._tenants_name, self._class_names = client, tenants_name, class_names
        self._most, self._most_of_namespace, self._trust = most, most_of_namespace, trust
        self._handlers: list[Callable[[str], None]] = []
        self._known: dict[str, tuple[str, float]] = {}
        self._watched: dict[str, asyncio.Task[None] | None] = {}
        self._live: set[str] = set()
        self._shares: dict[str, set[str]] = {}
        """Tenants' watched secrets by namespace. Their total number is `_shared`."""
        self._shared = 0
        self._waiting: dict[str, dict[str, None]] = {}
        """Secrets by namespace that wait for a free watch, in order of arrival."""
        self._group: asyncio.TaskGroup | None = None

    def add_handler(self, handler: Callable[[str], None]) -> None:
        """Call this handler with the key of each secret whose version changes."""
        self._handlers.append(handler)

    def version(self, key: str) -> str:
        """Return the uid and resourceVersion last seen.

        Returns "" if there is no such secret, or if only a read can tell."""
        version, until = self._known.get(key, ("", 0.0))
        return version if key in self._live or asyncio.get_running_loop().time() < until else ""

    async def read(self, key: str) -> Object | None:
        """Return the present secret, or None if it does not exist. Raises ApiException."""
        namespace, _, name = key.partition("/")
        secret = await self._client.find(kinds.SECRETS, name, namespace)
        self._saw(key, version_of(secret) if secret is not None else "")
        return secret

    def reconsider(self, keys: Iterable[str]) -> None:
        """Start or stop following secrets after a change that decides about them."""
        for key in keys:
            owners = self._class_names(key)
            if VALID.fullmatch(key) and (owners or self._tenants_name(key)):
                self._follow(key, owners=owners)
            else:
                self._forget(key)

    @property
    def watched(self) -> frozenset[str]:
        """Return the keys of the secrets that have a watch."""
        return frozenset(self._watched)

    async def run(self) -> None:
        """Follow the secrets until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for key in self._watched:
                self._start(key)
            await asyncio.Event().wait()

    def _follow(self, key: str, *, owners: bool) -> None:
        if key in self._watched:
            return
        namespace = key.partition("/")[0]
        if owners:
            self._waiting_in(namespace).pop(key, None)
            self._start(key)
        elif self._has_room(namespace):
            self._share(namespace, key)
        else:
            self._waiting.setdefault(namespace, {})[key] = None

    def _has_room(self, namespace: str) -> bool:
        return self._shared < self._most and len(self._shares.get(namespace, ())) < self._most_of_namespace

    def _share(self, namespace: str, key: str) -> None:
        self._shares.setdefault(namespace, set()).add(key)
        self._shared += 1
        self._start(key)

    def _start(self, key: str) -> None:
        self._watched[key] = self._group.create_task(self._keep_watching(key), name=f"secret {key}") if self._group is not None else None

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        namespace = key.partition("/")[0]
        waiting = self._waiting_in(namespace)
        waiting.pop(key, None)
        if not waiting:
            self._waiting.pop(namespace, None)
        if key not in self._watched:
            return
        task = self._watched.pop(key)
        if task is not None:
            task.cancel()
        share = self._shares.get(namespace, set())
        if key in share:
            share.remove(key)
            self._shared -= 1
            self._fill()
        if not share:
            self._shares.pop(namespace, None)

    def _waiting_in(self, namespace: str) -> dict[str, None]:
        return self._waiting.get(namespace, {})

    def _fill(self) -> None:
        """Give a free watch to a secret that waits for one."""
        if self._shared >= self._most:
            return
        namespace = next((namespace for namespace in self._waiting if self._has_room(namespace)), None)
        if namespace is not None:
            waiting = self._waiting[namespace]
            key = next(iter(waiting))
            del waiting[key]
            if not waiting:
                del self._waiting[namespace]
            self._share(namespace, key)

    async def _keep_watching(self, key: str) -> None:
        backoff = Backoff(most=MOST_DELAY)
        reported = ""
        while True:
            try:
                await self._watch(key, backoff)
            except (ApiException, BadConfig) as error:
                if describe(error) != reported:
                    reported = describe(error)
                    log.warning("cannot follow the secret %s: %s", key, reported)
            finally:
                self._live.discard(key)
            await asyncio.sleep(backoff.next())

    async def _watch(self, key: str, backoff: Backoff) -> None:
        """Watch once, beginning with the present secret, until the server ends the watch."""
        namespace, _, name = key.partition("/")
        events = self._client.watch(
            kinds.SECRETS,
            namespace,
            resource_version="0",
            timeout_seconds=WATCH_SECONDS,
            field_selector=f"metadata.name={name}",
            metadata_only=True,
            opened=partial(self._live.add, key),
        )
        seen = False
        async for event in events:
            backoff.reset()
            if event["type"] == "DELETED" or (event["type"] == "BOOKMARK" and not seen):
                # Existing objects come before the first bookmark, so the secret was deleted while
                # it was not watched.
                self._saw(key, "")
            elif event["type"] != "BOOKMARK":
                self._saw(key, version_of(event["object"]))
            seen = True

    def _saw(self, key: str, version: str) -> None:
        if not (self._class_names(key) or self._tenants_name(key)):
            return
        before = self._known.get(key, ("", 0.0))[0]
        self._known[key] = version, asyncio.get_running_loop().time() + self._trust
        if version != before:
            for handler in self._handlers:
                handler(key)


def version_of(secret: Object) -> str:
    """Return the uid and resourceVersion of a secret."""
    return f"{uid_of(secret)}/{secret['metadata']['resourceVersion']}"


def missing_right(namespace: str) -> str:
    """Return a message about the missing permission to read secrets, and what grants it."""
    return (
        f'the controllers may not read secrets in namespace "{namespace}": have a RoleBinding made there of the ClusterRole '
        f"{READER_ROLE} to the controllers' ServiceAccount, as in manifests/tenant"
    )


def is_clusters_own(secret: Object) -> bool:
    """Return whether the secret is a token of Kubernetes, or one that Cluster API keeps for a whole
    cluster.

    Secrets of Cluster API are recognized by name, because bootstrap data has the same type. The
    check is needed because a user who may create Workloads need not be allowed to read secrets."""
    name = name_of(secret)
    if secret.get("type") in _TOKENS:
        return True
    clusters = secret.get("type") == _CLUSTER_API or _CLUSTER_NAME in labels_of(secret)
    return name.endswith(_KUBECONFIG) or (clusters and name.endswith(_KEYS))
