"""Count creations in the management cluster's ResourceQuotas before they happen.

Source: admission/plugin/resourcequota of k8s.io/apiserver. As there, all waiting creations of one
namespace are decided together. They are charged with one write of each quota's status under its
resourceVersion, so that replicas and the quota controller agree. Unlike there, a creation that
fails afterwards is refunded, and a recount that overtakes a creation does not let another one
exceed the quota.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any, Protocol

from apiserver.admission.quotaevaluator import Request, StatusUnknown, check_requests, counted_as, limits, quantity, refusal, with_used
from apiserver.apis.status import ApiError, forbidden, internal, service_unavailable
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.resource import Resource

log = logging.getLogger(__name__)

SECONDS = 10.0
"""The seconds for which a creation waits for its decision."""
ATTEMPTS = 10
"""The number of attempts at a decision while other clients write the quotas."""
FORGOTTEN_SECONDS = 120.0
"""The seconds after which an unsettled creation counts as over, longer than any request."""


class QuotaConflict(Exception):
    """Another write of the quota came first, or it was deleted: it must be read again."""


class QuotaUnavailable(Exception):
    """The quotas cannot be read or written now. The message is for the operator."""


class Quotas(Protocol):
    """A source of ResourceQuotas."""

    async def get(self, namespace: str, *, live: bool = False) -> list[dict[str, Any]]:
        """Return all quotas of a namespace. With `live`, never from a possibly stale cache.

        Raises QuotaUnavailable."""

    async def put_status(self, quota: dict[str, Any]) -> None:
        """Write the quota's status under its resourceVersion. Raises QuotaConflict or
        QuotaUnavailable."""


class _Charge:
    """The charge for one creation, from its admission until its outcome.

    Context.on_finish calls it with the outcome."""

    def __init__(self, group: _Group, name: str, *, dry: bool, additional: Callable[[], int]) -> None:
        self.group, self.name, self.dry, self.additional = group, name, dry, additional
        self.born = time.monotonic()
        self.charged: set[str] = set()
        self.answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def __call__(self, happened: bool | None) -> None:
        self.group.settle(self, happened)


class ResourceQuota:
    """The Admission of quotas. It is the last plugin, so that no write is counted that another one
    refuses.

    `names(resource, namespace)` returns the names of this server's objects.
    `additional(attributes)` returns how many hosts count in addition for a creation or a binding
    (see ChargedHosts). `seconds`: see SECONDS."""

    def __init__(
        self,
        quotas: Quotas,
        names: Callable[[Resource, str], Collection[str]],
        additional: Callable[[Attributes], int] = lambda attributes: 0,
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._quotas, self._names, self._additional, self._seconds = quotas, names, additional, seconds
        self._groups: dict[tuple[str, str], _Group] = {}

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Charge a creation. See Admission.

        Raises ApiError: 403 if it exceeds a quota, 503 if that cannot be checked."""
        new, resource, namespace, context = attributes.new, attributes.resource, attributes.namespace, attributes.context
        if attributes.operation != "CREATE" or not namespace:
            return new
        if attributes.subresource:
            await self._check_binding(attributes)
            return new
        if not await self._counts(resource, namespace):
            return new
        group = self._group(resource, namespace)
        known = next((one for one in context.on_finish if isinstance(one, _Charge) and one.group is group), None)
        if known is not None:
            # another attempt of the same creation, perhaps under another name
            known.name = attributes.name
            return new
        why = await self._charge(group, attributes)
        if why is not None:
            raise forbidden(resource.group, resource.plural, attributes.name, why)
        return new

    async def _check_binding(self, attributes: Attributes) -> None:
        """Raise ApiError (403) for a binding that exceeds a quota.

        The object was admitted because it might take a host that counts already, but is bound to
        another one. All objects count here, bound or not, so that concurrent bindings need not know
        of each other."""
        resource, namespace = attributes.resource, attributes.namespace
        if attributes.subresource != "binding" or not self._additional(attributes):
            return
        counted = counted_as(resource)
        try:
            found = limits(await self._quotas.get(namespace), counted)
        except QuotaUnavailable as error:
            raise unknown(namespace, error) from None
        except StatusUnknown as error:
            raise forbidden(resource.group, resource.plural, attributes.name, _status_unknown(error, counted)) from None
        additional, held = self._additional(attributes), len(self._names(resource, namespace))
        exceeded = [limit for limit in found if held + additional > limit.hard]
        if exceeded:
            why = refusal(exceeded[0], held - 1, counted, additional)
            raise forbidden(resource.group, resource.plural, attributes.name, why)

    async def close(self) -> None:
        """Cancel the running decisions."""
        for group in self._groups.values():
            await group.close()

    async def _counts(self, resource: Resource, namespace: str) -> bool:
        """Return whether any quota of the namespace limits the kind."""
        counted = counted_as(resource)
        try:
            quotas = await self._quotas.get(namespace)
        except QuotaUnavailable as error:
            raise unknown(namespace, error) from None
        return any(counted in ((quota.get("status") or {}).get("hard") or {}) for quota in quotas)

    async def _charge(self, group: _Group, attributes: Attributes) -> str | None:
        context = attributes.context
        charge = _Charge(group, attributes.name, dry=context.dry_run, additional=lambda: self._additional(attributes))
        group.add(charge)
        try:
            async with asyncio.timeout(self._seconds):
                why = await charge.answer
        except TimeoutError:
            charge(False)
            raise internal("resource quota evaluation timed out") from None
        except BaseException:
            charge(False)
            raise
        if why is None and charge.charged:
            context.on_finish.append(charge)
        return why

    def _group(self, resource: Resource, namespace: str) -> _Group:
        key = (namespace, counted_as(resource))
        if key not in self._groups:
            self._groups = {other: group for other, group in self._groups.items() if group.busy}
            self._groups[key] = _Group(self._quotas, namespace, key[1], lambda: self._names(resource, namespace))
        return self._groups[key]


class _Group:
    """The creations of one kind in one namespace, which one task decides in batches."""

    def __init__(self, quotas: Quotas, namespace: str, counted: str, names: Callable[[], Collection[str]]) -> None:
        self._quotas, self._namespace, self._counted, self._names = quotas, namespace, counted, names
        self._waiting: list[_Charge] = []
        self._refunds: defaultdict[str, int] = defaultdict(int)
        self._admitted: set[_Charge] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Return whether anything is not settled yet."""
        return bool(self._admitted) or (self._task is not None and not self._task.done())

    def add(self, charge: _Charge) -> None:
        """Queue a charge for the next decision."""
        self._waiting.append(charge)
        self._start()

    def settle(self, charge: _Charge, happened: bool | None) -> None:
        """Settle a charge. A creation that did not happen is refunded.

        If the outcome is unknown, the next count of the quota controller corrects the use."""
        self._admitted.discard(charge)
        charge.answer.cancel()
        if happened is False and charge.charged:
            for quota in charge.charged:
                self._refunds[quota] += 1
            charge.charged = set()
            self._start()

    async def close(self) -> None:
        """Cancel the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name=f"quota of {self._namespace}")

    async def _work(self) -> None:
        while self._waiting or self._refunds:
            batch, self._waiting = self._waiting, []
            try:
                await self._refund()  # first, because a waiting creation may need it
                if batch:
                    await self._decide(batch)
            except QuotaUnavailable as error:
                self._refunds.clear()  # the next recount corrects the use
                _fail(batch, unknown(self._namespace, error))
            except Exception:
                log.exception("quotas of namespace %s cannot be evaluated", self._namespace)
                self._refunds.clear()
                _fail(batch, internal())

    async def _decide(self, batch: list[_Charge]) -> None:
        """Answer all charges. A charge whose caller was cancelled meanwhile is refunded."""
        for attempt in range(ATTEMPTS):
            quotas = await self._quotas.get(self._namespace, live=attempt > 0)
            batch = self._still_wanted(batch)
            try:
                found = limits(quotas, self._counted)
            except StatusUnknown as error:
                _answer(batch, [_status_unknown(error, self._counted)] * len(batch))
                return
            requests = [Request(charge.name, frozenset(charge.charged), charge.dry, charge.additional()) for charge in batch]
            outcome = check_requests(found, requests, self._held(), self._counted)
            fitting = [charge for charge, why in zip(batch, outcome.refusals, strict=True) if why is None and not charge.dry]
            if await self._write(quotas, outcome.used, fitting):
                self._admitted.update(charge for charge in fitting if charge.charged and not charge.answer.done())
                _answer(batch, outcome.refusals)
                for charge, why in zip(batch, outcome.refusals, strict=True):
                    if why is not None or charge.answer.cancelled():
                        self.settle(charge, False)
                return
        raise QuotaUnavailable("too many others write them at once")

    def _still_wanted(self, batch: list[_Charge]) -> list[_Charge]:
        for charge in batch:
            if charge.answer.done():
                self.settle(charge, False)
        return [charge for charge in batch if not charge.answer.done()]

    async def _write(self, quotas: list[dict[str, Any]], used: dict[str, int], fitting: list[_Charge]) -> bool:
        """Charge each quota, and note the written ones in the charges.

        Returns False if a quota must be read again."""
        complete = True
        for quota in quotas:
            name = quota["metadata"]["name"]
            if name not in used:
                continue
            try:
                await self._quotas.put_status(with_used(quota, self._counted, used[name]))
            except QuotaConflict:
                complete = False
                continue
            for charge in fitting:
                charge.charged.add(name)
        return complete

    async def _refund(self) -> None:
        for attempt in range(ATTEMPTS):
            if not self._refunds:
                return
            for quota in await self._quotas.get(self._namespace, live=attempt > 0):
                back = self._refunds.get(quota["metadata"]["name"])
                used = ((quota.get("status") or {}).get("used") or {}).get(self._counted)
                if not back or used is None:
                    continue
                try:
                    wanted = max(quantity(used) - back, len(self._held()))
                    if wanted < quantity(used):
                        await self._quotas.put_status(with_used(quota, self._counted, wanted))
                    del self._refunds[quota["metadata"]["name"]]
                except QuotaConflict:
                    continue
        # The quota was deleted, or is written constantly. The next recount corrects the use.
        self._refunds.clear()

    def _held(self) -> set[str]:
        """Return the names of the objects that exist here, or are about to."""
        limit = time.monotonic() - FORGOTTEN_SECONDS
        self._admitted = {charge for charge in self._admitted if charge.born > limit}
        return {*self._names(), *(charge.name for charge in self._admitted)}


def _answer(batch: list[_Charge], refusals: list[str | None]) -> None:
    for charge, why in zip(batch, refusals, strict=True):
        if not charge.answer.done():
            charge.answer.set_result(why)


def _status_unknown(error: StatusUnknown, counted: str) -> str:
    return f"status unknown for quota: {error.args[0]}, resources: {counted}"


def unknown(namespace: str, error: QuotaUnavailable) -> ApiError:
    """Return the answer to a write whose quotas cannot be checked, and log why."""
    log.warning("quotas of namespace %s: %s", namespace, error)
    return service_unavailable("the namespace's quota cannot be checked now; try again")


def _fail(batch: list[_Charge], error: Exception) -> None:
    for charge in batch:
        if not charge.answer.done():
            charge.answer.set_exception(error)
