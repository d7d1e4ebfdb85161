"""The secrets that Workloads and classes name: each is read by its name when it is needed, and watched alone by its metadata.

Nothing lists secrets, and nothing is asked about a secret that nobody names. kubelet follows the secrets of its pods in the same way. A
watch is a connection, so their number is bounded; what is not watched is read again after a while.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import TYPE_CHECKING

from apiserver.client.clock import Backoff
from apiserver.client.errors import ApiException, BadConfig, describe
from apiserver.client.objects import Object, uid_of
from controllers import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apiserver.client.client import Client

__all__ = ["READER_ROLE", "Secrets", "missing_right", "version_of"]

log = logging.getLogger(__name__)

MOST, MOST_OF_NAMESPACE = 512, 128
"""Watches of tenants' secrets, in all and of one namespace. The classes' own are the owner's and come on top."""
TRUST = 300.0
"""Seconds for which the version of a secret that is not watched is believed."""
WATCH_SECONDS = 1800
MOST_DELAY = 30.0
"""Seconds at most between two attempts to watch."""
VALID = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
READER_ROLE = "metal3-workloads-secrets"
"""The ClusterRole that is bound in each namespace whose secrets are to be read."""


class Secrets:
    """What is known of each secret: its version, never its values. `reconsider` decides which ones are followed.

    `tenants_name(key)`: whether a Workload that has a host names the secret, in a namespace that a class admits. `class_names(key)`:
    whether a class names it."""

    def __init__(
        self,
        client: Client,
        *,
        tenants_name: Callable[[str], bool],
        class_names: Callable[[str], bool],
        most: int = MOST,
        most_of_namespace: int = MOST_OF_NAMESPACE,
    ) -> None:
        self._client, self._tenants_name, self._class_names = client, tenants_name, class_names
        self._most, self._most_of_namespace = most, most_of_namespace
        self._handlers: list[Callable[[str], None]] = []
        self._known: dict[str, tuple[str, float]] = {}
        self._watched: dict[str, asyncio.Task[None] | None] = {}
        self._live: set[str] = set()
        self._shares: dict[str, set[str]] = {}
        """Tenants' watched secrets by namespace, which are `_shared` in all."""
        self._shared = 0
        self._waiting: dict[str, dict[str, None]] = {}
        """Secrets by namespace for which there is no watch left, those that came first first."""
        self._group: asyncio.TaskGroup | None = None

    def add_handler(self, handler: Callable[[str], None]) -> None:
        """Tells this handler the key of each secret whose version changes."""
        self._handlers.append(handler)

    def version(self, key: str) -> str:
        """The uid and resourceVersion as last seen; "" when there is no such secret, or when it has to be read to know."""
        version, until = self._known.get(key, ("", 0.0))
        return version if key in self._live or asyncio.get_running_loop().time() < until else ""

    async def read(self, key: str) -> Object | None:
        """The secret as it is now; None when there is none. Raises ApiException."""
        namespace, _, name = key.partition("/")
        try:
            secret = await self._client.get(kinds.SECRETS, name, namespace)
        except ApiException as error:
            if not error.not_found:
                raise
            self._saw(key, "")
            return None
        self._saw(key, version_of(secret))
        return secret

    def reconsider(self, keys: Iterable[str]) -> None:
        """Begins or ends to follow secrets after something has changed that decides about them."""
        for key in keys:
            owners = self._class_names(key)
            if VALID.fullmatch(key) and (owners or self._tenants_name(key)):
                self._follow(key, owners=owners)
            else:
                self._forget(key)

    @property
    def watched(self) -> frozenset[str]:
        """The keys of the secrets that have a watch."""
        return frozenset(self._watched)

    async def run(self) -> None:
        """Follows the secrets until cancelled."""
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
        """Gives the watch that has become free to a secret that waits for one."""
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
        told = ""
        while True:
            try:
                await self._watch(key, backoff)
            except (ApiException, BadConfig) as error:
                if describe(error) != told:
                    told = describe(error)
                    log.warning("cannot follow the secret %s: %s", key, told)
            finally:
                self._live.discard(key)
            await asyncio.sleep(backoff.next())

    async def _watch(self, key: str, backoff: Backoff) -> None:
        """One watch, which begins with the secret as it is, until the server ends it."""
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
                # What is there comes before the first bookmark: the secret was deleted while nobody watched.
                self._saw(key, "")
            elif event["type"] != "BOOKMARK":
                self._saw(key, version_of(event["object"]))
            seen = True

    def _saw(self, key: str, version: str) -> None:
        if not (self._class_names(key) or self._tenants_name(key)):
            return
        before = self._known.get(key, ("", 0.0))[0]
        self._known[key] = version, asyncio.get_running_loop().time() + TRUST
        if version != before:
            for handler in self._handlers:
                handler(key)


def version_of(secret: Object) -> str:
    """The uid and resourceVersion of a secret."""
    return f"{uid_of(secret)}/{secret['metadata']['resourceVersion']}"


def missing_right(namespace: str) -> str:
    """What is missing where the controllers may not read secrets, and what gives it."""
    return (
        f'the controllers may not read secrets in namespace "{namespace}": have a RoleBinding made there of the ClusterRole '
        f"{READER_ROLE} to the controllers' ServiceAccount, as in manifests/tenant"
    )
