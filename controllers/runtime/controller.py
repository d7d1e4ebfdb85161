"""Run workers that reconcile keys: level-triggered, and one worker per key at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from apiserver.client import tracing
from apiserver.client.errors import ApiException, describe
from apiserver.client.objects import split_key
from controllers.runtime.metrics import QueueMetrics, ReconcileMetrics
from controllers.runtime.queue import Queue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a reconcile. `requeue_after`: the seconds after which to reconcile again
    without a change."""

    requeue_after: float | None = None


class TerminalError(Exception):
    """Reports a failure that a retry cannot mend until the object, or another watched object,
    changes."""


class Controller:
    """Calls `reconcile(key)` for every key in its queue.

    After any error except TerminalError, the key is retried with a growing delay; a server's
    Retry-After is respected. A call is cancelled after `timeout` seconds and retried.

    workers: the number of simultaneous calls. With `group`, which returns the group of a key, it is
    the number for each group, and `total` is the number for all. So work that hangs for one group,
    such as a class whose cluster does not answer, does not block others.

    flow: returns the owner of a key; flows take turns within their group.

    traced: returns the uid of the object in whose trace a reconcile of the key belongs, or "".
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[str], Awaitable[Result | None]],
        *,
        workers: int = 4,
        group: Callable[[str], str] | None = None,
        total: int | None = None,
        flow: Callable[[str], str] | None = None,
        timeout: float = 60.0,
        base_delay: float = 0.02,
        traced: Callable[[str], str] | None = None,
    ) -> None:
        self.name, self._metrics = name, ReconcileMetrics(name)
        self.queue = Queue(group=group, limit=workers, total=total, flow=flow, base_delay=base_delay, metrics=QueueMetrics(name))
        self._reconcile, self._timeout, self._traced = reconcile, timeout, traced or _untraced

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    key = await self.queue.get()
                    group.create_task(self._work(key))
        finally:
            self.queue.close()

    async def _work(self, key: str) -> None:
        try:
            with self._span(key):
                await self._process(key)
        finally:
            self.queue.done(key)

    def _span(self, key: str) -> AbstractContextManager[object]:
        """Return a span in the trace of the key's object, if there is a tracer and an object."""
        tracer = tracing.active.tracer
        uid = self._traced(key) if tracer is not None else ""
        return tracer.of_object(f"reconcile {self.name}", uid, {"k8s.object.key": key}) if tracer is not None and uid else nullcontext()

    async def _process(self, key: str) -> None:
        began, result = time.perf_counter(), None
        failed = terminal = False
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._reconcile(key)
        except TerminalError as error:
            failed = terminal = True
            log.warning("%s %s: %s", self.name, key, error)
            self.queue.forget(key)
        except ApiException as error:
            failed = True
            self._failed(key, error)
        except TimeoutError:
            failed = True
            delay = self.queue.add_rate_limited(key)
            log.warning("%s %s: not done within %g s; again in %.3g s", self.name, key, self._timeout, delay)
        except Exception:
            failed = True
            delay = self.queue.add_rate_limited(key)
            log.exception("%s %s: failed; again in %.3g s", self.name, key, delay)
        else:
            self.queue.forget(key)
            if result is not None and result.requeue_after is not None:
                self.queue.add_after(key, result.requeue_after)
        again = result is not None and result.requeue_after is not None
        self._metrics.took(time.perf_counter() - began, failed=failed, terminal=terminal, again=again)

    def _failed(self, key: str, error: ApiException) -> None:
        if error.retry_after:
            delay = error.retry_after
            self.queue.add_after(key, delay)
        else:
            delay = self.queue.add_rate_limited(key)
        # Conflicts are normal in optimistic locking; other failures are logged.
        level = logging.DEBUG if error.status == 409 else logging.WARNING
        log.log(level, "%s %s: %s; again in %.3g s", self.name, key, describe(error), delay)


def _untraced(key: str) -> str:
    return ""


def tenant_of(key: str) -> str:
    """Return the namespace of a key as its flow.

    Tenants take turns, so that thousands of objects of one tenant do not delay another's."""
    return split_key(key)[0]
