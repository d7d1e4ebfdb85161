"""Keep a local copy of a collection: list it, then watch it until cancelled.

The informer survives broken connections (it resumes), expired histories (it lists again) and
silence (it closes a stalled connection). Objects are never dropped because the server is
unreachable: the last known state stays, and `stale_since` says since when. The answer of a write is
stored at once (`learn`), so that the writer's next decision uses it. The watch delivers it later,
and a decision based on the old state would end in a conflict.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from apiserver.client.client import Client
from apiserver.client.clock import Backoff
from apiserver.client.errors import ApiException, BadConfig, Unreachable, describe
from apiserver.client.indexer import Store
from apiserver.client.objects import Object, Resource, key_of

log = logging.getLogger(__name__)

Handler = Callable[[Object | None, Object | None], None]


class Informer:
    """A copy of a collection in `store`, which calls handlers with each change as (old, new).

    None means that there was or is no object. Handlers run in the event loop and must only take
    note (add keys to queues). `synced` is set after the first complete list. `transform` reduces
    objects before they are stored (metadata must stay). `last_error` and `stale_since` (event
    loop's time) are set while the server cannot be followed.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexers: dict[str, Callable[[Object], Iterable[str]]] | None = None,
        transform: Callable[[Object], Object] | None = None,
        page_size: int = 500,
        watch_timeout: int = 240,
        stall_timeout: float = 90.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.client, self.resource, self.namespace = client, resource, namespace
        self.store = Store(indexers)
        self.synced = asyncio.Event()
        self.last_error: Exception | None = None
        self.stale_since: float | None = None
        self._label_selector, self._field_selector = label_selector, field_selector
        self._page_size, self._watch_timeout, self._stall_timeout = page_size, watch_timeout, stall_timeout
        self._backoff = backoff or Backoff()
        self._transform = transform
        self._handlers: list[Handler] = []
        self._health_handlers: list[Callable[[], None]] = []
        self._version = ""
        self._learned: dict[str, int] = {}

    def add_handler(self, handler: Handler) -> None:
        """Call this handler for every later change, and for each present object as (None,
        object)."""
        self._handlers.append(handler)
        for obj in self.store:
            handler(None, obj)

    def add_health_handler(self, handler: Callable[[], None]) -> None:
        """Call this handler whenever `synced`, `last_error` or `stale_since` changes."""
        self._health_handlers.append(handler)

    def learn(self, obj: Object) -> None:
        """Store the answer of a write. An object that the watch has not seen is ignored, because it
        may be deleted already."""
        key, seen = key_of(obj), self.store.get(key_of(obj))
        if seen is None or seen["metadata"].get("uid") != obj["metadata"].get("uid"):
            return
        if _revision(obj) > _revision(seen) >= 0:
            self._learned[key] = _revision(obj)
            self._put(key, obj)

    async def run(self) -> None:
        """Follow the collection until cancelled."""
        listed = False
        while True:
            try:
                if not listed:
                    await self._list()
                    listed = True
                await self._watch()
            except ApiException as error:
                if error.expired:
                    listed = False
                    continue
                await self._failed(error)
            except BadConfig as error:
                await self._failed(error)

    async def _list(self) -> None:
        items, version = await self.client.list_all(
            self.resource,
            self.namespace,
            page_size=self._page_size,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        self._version = version
        self._learned.clear()  # a restored server counts from another number
        seen = set()
        for obj in items:
            key = key_of(obj)
            seen.add(key)
            self._put(key, obj)
        for key in self.store.keys():  # noqa: SIM118 (a copy; iterating a Store gives objects)
            if key not in seen:
                self._notify(self.store.remove(key), None)
        self._healthy()
        if not self.synced.is_set():
            self.synced.set()
            self._notify_health()

    async def _watch(self) -> None:
        """Watch once, until the server ends the watch."""
        watch = self.client.watch(
            self.resource,
            self.namespace,
            resource_version=self._version,
            timeout_seconds=self._watch_timeout,
            stall_timeout=self._stall_timeout,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            opened=self._healthy,
        )
        before = self._version
        started = asyncio.get_running_loop().time()
        async for event in watch:
            self._event(event)
        # A server that ends every watch at once must not be asked in a tight loop.
        if self._version == before and asyncio.get_running_loop().time() - started < 1.0:
            raise Unreachable("the server ended the watch at once")

    def _event(self, event: Object) -> None:
        obj = event["object"]
        self._version = str(obj["metadata"]["resourceVersion"])
        match event["type"]:
            case "ADDED" | "MODIFIED":
                key = key_of(obj)
                if _revision(obj) >= self._learned.get(key, 0):
                    self._learned.pop(key, None)
                    self._put(key, obj)
            case "DELETED":
                key = key_of(obj)
                self._learned.pop(key, None)
                # The handlers get the last state, which the store may not have seen.
                if self.store.remove(key) is not None:
                    self._notify(obj, None)

    def _put(self, key: str, obj: Object) -> None:
        old = self.store.get(key)
        if old is not None and old["metadata"].get("uid") != obj["metadata"].get("uid"):
            # deleted and created again while we did not watch
            self._notify(self.store.remove(key), None)
            old = None
        if old is not None and old["metadata"].get("resourceVersion") == obj["metadata"].get("resourceVersion"):
            return
        if self._transform is not None:
            obj = self._transform(obj)
        self.store.put(key, obj)
        self._notify(old, obj)

    def _notify(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:
                log.exception("%s: a handler failed", self.resource.plural)

    async def _failed(self, error: Exception) -> None:
        changed = self.last_error is None or describe(self.last_error) != describe(error)
        self.last_error = error
        if self.stale_since is None:
            self.stale_since = asyncio.get_running_loop().time()
        if changed:
            log.warning("cannot follow %s: %s", self.resource.plural, describe(error))
            self._notify_health()
        retry_after = error.retry_after if isinstance(error, ApiException) else None
        await asyncio.sleep(max(self._backoff.next(), retry_after or 0.0))

    def _healthy(self) -> None:
        self._backoff.reset()
        if self.last_error is not None:
            self.last_error, self.stale_since = None, None
            log.info("following %s again", self.resource.plural)
            self._notify_health()

    def _notify_health(self) -> None:
        for handler in self._health_handlers:
            handler()


def _revision(obj: Object) -> int:
    """Return the resourceVersion as a number, as in Kubernetes, or -1 if it is not a number."""
    version = str(obj["metadata"].get("resourceVersion") or "")
    return int(version) if version.isascii() and version.isdigit() else -1
