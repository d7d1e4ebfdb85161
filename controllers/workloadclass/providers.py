"""Run one provider per WorkloadClass. A provider that fails is restarted, and does not affect
others."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson
from pydantic import ValidationError

from apiserver.apis.wording import parameter_problems, sentence
from apiserver.apis.workloadclass import WorkloadClassSpec
from apiserver.client.clock import Backoff, Clock, LoopClock
from apiserver.client.errors import describe
from apiserver.client.objects import Object
from controllers.providers.base import BadClass, Provider, ProviderContext, ProviderError, find_provider

log = logging.getLogger(__name__)

CLOSE_WITHIN = 5.0
GRACE = 30.0
"""The seconds for which a source that was just started is not reported as unreachable, nor one that
fails while nothing new is requested from it."""


@dataclass
class _Running:
    """Holds the provider of one class. `crashed` says why its task ended, until it is started
    again."""

    provider: Provider
    fingerprint: str
    since: float
    task: asyncio.Task[None] | None = None
    crashed: str = ""
    overlaps: set[str] = field(default_factory=set)


class Sources:
    """Holds the running providers by class name.

    Providers call `on_change(class, uid)` and `on_health(class)` directly. For `has_host` and
    `cluster_id`, see ProviderContext. For `grace`, see GRACE."""

    def __init__(
        self,
        has_host: Callable[[str], bool] = lambda name: False,
        cluster_id: Callable[[], str] = lambda: "",
        clock: Clock | None = None,
        *,
        grace: float = GRACE,
    ) -> None:
        self.grace = grace
        self._has_host, self._cluster_id, self._clock = has_host, cluster_id, clock or LoopClock()
        self._since: float | None = None
        self._stopped: set[str] = set()
        self._running: dict[str, _Running] = {}
        self._change_handlers: list[Callable[[str, str], None]] = []
        self._health_handlers: list[Callable[[str], None]] = []

    def add_change_handler(self, handler: Callable[[str, str], None]) -> None:
        """Call this handler with (class, real uid) of every host that appears, changes or
        disappears."""
        self._change_handlers.append(handler)

    def add_health_handler(self, handler: Callable[[str], None]) -> None:
        """Call this handler with the class whose provider starts, stops, or changes in health."""
        self._health_handlers.append(handler)

    def names(self) -> list[str]:
        """Return the classes with a provider."""
        return list(self._running)

    def get(self, class_name: str) -> Provider | None:
        """Return the class's provider, or None if it has none (yet)."""
        running = self._running.get(class_name)
        return running.provider if running else None

    def problem(self, class_name: str) -> ProviderError | None:
        """Return why the class does not work at present, or None."""
        running = self._running.get(class_name)
        if running is None:
            return ProviderError("Connecting", "its provider is being started")
        if running.crashed:
            return ProviderError("ProviderFailed", f"its provider failed and is started again: {running.crashed}")
        return running.provider.problem()

    def fresh(self, class_name: str) -> bool:
        """Return whether the class's provider is younger than `grace` seconds.

        Without a provider, the time since the controllers started counts."""
        running, now = self._running.get(class_name), self._clock.time()
        if self._since is None:
            self._since = now  # the controllers call this at once when they start
        return now - (running.since if running is not None else self._since) < self.grace

    def starting(self, class_name: str) -> bool:
        """Return whether the class's source is being read for the first time.

        Earlier reports about its machines are kept meanwhile."""
        running = self._running.get(class_name)
        reading = not running.provider.synced if running is not None else class_name not in self._stopped
        return reading and self.fresh(class_name)

    def overlaps(self, class_name: str) -> set[str]:
        """Return the uids of real hosts that this class sees but another class has.

        The caller may change the set."""
        running = self._running.get(class_name)
        return running.overlaps if running else set()

    async def ensure(self, class_name: str, spec: Object, credentials: Mapping[str, bytes]) -> None:
        """Run the class's provider with this spec and these credentials, in place of one with
        others.

        Raises BadClass if they cannot work. A running provider is then stopped as well, because it
        does not match the class any more."""
        fingerprint = _fingerprint(spec, credentials)
        running = self._running.get(class_name)
        if running is not None and running.fingerprint == fingerprint:
            return
        try:
            provider = await self._create(class_name, spec, credentials)
        except BadClass:
            await self.stop(class_name)
            raise
        try:
            await self.stop(class_name)
        except BaseException:
            await provider.close()
            raise
        made = _Running(provider, fingerprint, self._clock.time())
        self._running[class_name] = made
        made.task = asyncio.create_task(self._run(class_name, made), name=f"provider of {class_name}")
        self._notify(class_name)

    async def stop(self, class_name: str) -> None:
        """Stop the class's provider. This has no effect if it has none."""
        running = self._running.pop(class_name, None)
        self._stopped.add(class_name)
        if running is None:
            return
        try:
            if running.task is not None:
                running.task.cancel()
                await asyncio.wait({running.task}, timeout=CLOSE_WITHIN)
        finally:  # the wait may be cancelled, when the controllers stop
            await running.provider.close()
        self._notify(class_name)

    async def close(self) -> None:
        """Stop all providers."""
        await asyncio.gather(*(self.stop(name) for name in self.names()))

    async def _create(self, class_name: str, spec: Object, credentials: Mapping[str, bytes]) -> Provider:
        kind = find_provider(spec["provisioner"])
        try:
            parameters = kind.parameters_model.decode(spec.get("parameters") or {})
        except ValidationError as error:
            raise BadClass("BadParameters", f"correct spec.parameters: {parameter_problems(error, kind.parameters_model)}") from error
        try:
            decoded = WorkloadClassSpec.decode(spec)
        except ValidationError as error:
            raise BadClass("BadParameters", "correct " + "; ".join(map(sentence, error.errors(include_url=False)))) from error
        if decoded.cleaning is not None and decoded.cleaning.mode == "full" and not kind.erases:
            raise BadClass("CleaningUnsupported", f"{spec['provisioner']} cannot erase disks: set spec.cleaning.mode to metadata")
        context = ProviderContext(
            class_name,
            decoded,
            parameters,
            credentials,
            on_change=lambda uid: self._changed(class_name, uid),
            on_health=lambda: self._notify(class_name),
            has_host=self._has_host,
            cluster_id=self._cluster_id(),
        )
        return await kind.create(context)

    async def _run(self, class_name: str, running: _Running) -> None:
        backoff = Backoff(first=1.0, most=60.0)
        while True:
            try:
                await running.provider.run()
                running.crashed = "it ended by itself"
            except Exception as error:
                running.crashed = describe(error)
                log.exception("the provider of class %s failed", class_name)
            self._notify(class_name)
            await asyncio.sleep(backoff.next())
            running.crashed = ""

    def _changed(self, class_name: str, uid: str) -> None:
        for handler in self._change_handlers:
            handler(class_name, uid)

    def _notify(self, class_name: str) -> None:
        for handler in self._health_handlers:
            handler(class_name)


def _fingerprint(spec: Object, credentials: Mapping[str, bytes]) -> str:
    """Return a digest that changes whenever the provider must be created again."""
    digest = hashlib.sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS))
    for key in sorted(credentials):
        digest.update(b"\0" + key.encode() + b"\0" + hashlib.sha256(credentials[key]).digest())
    return digest.hexdigest()
