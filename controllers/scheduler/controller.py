"""Find a host for every Workload that has none.

`fit` decides which host; this module decides when, and writes the status. The scheduler acts on
changes of Workloads, classes and namespaces, and on hosts that become free. The server makes the
claim atomically: the scheduler proposes a host, and another one after a conflict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from apiserver.client.clock import LoopClock, timestamp
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, deleting, key_of, labels_of, name_of, namespace_of, typed, uid_of
from controllers import kinds
from controllers.classaccess import admits, default_class, is_active, is_connected, not_allowed, retain_refused
from controllers.cluster import Cluster, gang_key, recovered_key, tenancy_of
from controllers.gangcounts import has_host
from controllers.quotacharges import is_of_quota
from controllers.runtime.conditions import condition, find_condition
from controllers.runtime.controller import Controller, Result, tenant_of
from controllers.scheduler.cache import ASSUMED_FOR, SchedulerCache, unavailable_phrase
from controllers.scheduler.explanations import Explanations
from controllers.scheduler.fit import Requirements, requirements_of, too_complex
from controllers.scheduler.gangs import Gangs, Refusal
from controllers.scheduler.placedworkloads import PlacedWorkloads
from controllers.scheduler.placementrules import Rules, rules_of, spread_keys, topology_keys
from controllers.scheduler.schedulingqueue import (
    LOOK_AT_QUOTA,
    AssumedBindings,
    CPUBudget,
    ForbiddenBindings,
    FullQuotas,
    PendingWorkloads,
    PriorityQueues,
    is_pending,
)
from controllers.workload.stalled import workload_conditions

log = logging.getLogger(__name__)

SETTLE = 0.05
"""The seconds to wait after a host became free, because many hosts often change together."""
REPEAT_MESSAGE, MESSAGES_PER_SECOND = 2.0, 50
"""The limits for changes of messages: seconds for one Workload, and number per second for all."""
RULED_PER_SECOND = 50
"""The most Workloads of a namespace that look for a host again per second because another one of
its Workloads changed."""
NEW_WAIT = 120.0
"""The wait for a namespace's effort, in seconds, up to which its new Workloads look for a host at
once. A tenant may delete its Workloads and create them again."""
LOOK_FOR_PINNED = 3.0
ATTEMPTS = 5
DECIDED_BY = ("name", "namespace", "uid", "generation")
"""The metadata of a Workload that tell the server for which spec a host was chosen."""


class Unbindable(Exception):
    """Reports that there is no host for the Workload now.

    `reason` and `message()` are those of its condition Bound, suitable for tenants. Messages that
    count hosts are created only when needed."""

    def __init__(self, reason: str, message: str | Callable[[], str]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message: Callable[[], str] = message if callable(message) else lambda: message


class BindingForbidden(Unbindable):
    """Reports that the API server forbids the binding for another reason than a quota, such as an
    admission policy, whose refusals are 403 or 422."""


class QuotaExceeded(Unbindable):
    """Reports that the namespace's quota has no room for the host.

    It had room when the Workload was created, but now counts another host of the namespace."""


class GangPutOff(Unbindable):
    """Reports that no hosts are planned for a gang for a while, and repeats why: QuotaExceeded or
    BindingForbidden."""


class Scheduler:
    """Reconciles Workloads by key."""

    def __init__(self, cluster: Cluster, *, workers: int = 16, total: int = 64) -> None:
        """Create the scheduler.

        `workers` is the number of Workloads of one namespace that are bound at once, and `total`
        that of all."""
        self._cluster, self._clock = cluster, LoopClock()
        self._free, self._pending, self._bound = SchedulerCache(), PendingWorkloads(), AssumedBindings(self._clock)
        self._placed_workloads = PlacedWorkloads(cluster.workloads.store)
        self._priority_queues, self._full = PriorityQueues(), FullQuotas(self._clock)
        self._forbidden, self._cpu_budget = ForbiddenBindings(self._clock, ATTEMPTS), CPUBudget(self._clock)
        self._gangs = Gangs(self, self._free, self._placed_workloads)
        self._waking: set[str | None] = set()
        self._moved: set[str] = set()
        self._ruled: dict[str, int] = {}
        self._retelling: set[str] = set()
        self._reported: dict[str, float] = {}
        self._explanations = Explanations(self._free)
        self.controller = Controller(
            "scheduler", self.reconcile, workers=workers, group=tenant_of, total=total, traced=cluster.uid_of_workload
        )
        cluster.hosts.add_handler(self._host_changed)
        cluster.workloads.add_handler(self._workload_changed)
        cluster.classes.add_handler(self._class_changed)
        cluster.namespaces.add_handler(self._namespace_changed)

    def is_binding(self, namespace: str) -> bool:
        """Return whether Workloads of the namespace are queued for a host.

        The queues of other namespaces do not matter, because namespaces take turns."""
        return self.controller.queue.ready(namespace) > 0

    def avoid(self, host: Object) -> None:
        """Avoid for a while a host that a Workload is giving up.

        The cache may not know yet that another consumer has the host."""
        self._free.assume(name_of(host))
        self._wake_later(host)

    def hold(self, host: Object) -> int:
        """Bind nothing to a host that has just become free, until `unhold` or for a while.

        Reservations that lack hosts choose first. Return the number of the assumption."""
        return self._free.assume(name_of(host))

    def unhold(self, hosts: Iterable[tuple[Object, int]]) -> None:
        """Let the Workloads that wait choose among these hosts, too."""
        for host, serial in hosts:
            if self._free.is_assumed(name_of(host), serial):
                self._free.forget(name_of(host))
            self._wake(str(host["spec"]["className"]))

    async def run(self) -> None:
        await self.controller.run()

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        workload = new or old
        assert workload is not None
        key = key_of(workload)
        if new is None or not is_pending(new):
            self._pending.remove(key)
            self._bound.forget(key)
            self._reported.pop(key, None)
            self._priority_queues.remove(key)
            self._full.forget(key)
            self._forbidden.forget(key)
            self._gangs.drop(workload)
            if new is None:
                self._placed_workloads.forget(workload)
        elif old is None or old["spec"] != new["spec"] or not is_pending(old):
            self._full.forget(key)
            self._forbidden.forget(key)
            if key not in self._pending:
                self._pending.add(key)
            self._take_turn(key)
        if _counts_for_others(old) != _counts_for_others(new):
            self._gangs.changed(namespace_of(workload))
            self._neighbours_moved(namespace_of(workload))
            for gang in {gang for one in (old, new) if one is not None for gang in gang_key(one)}:
                self._gang_changed(gang)

    def _gang_changed(self, gang: str) -> None:
        """Queue the waiting members of a gang that has changed."""
        if gang not in self._moved:
            self._moved.add(gang)
            self._clock.call_later(SETTLE, partial(self._gang_woken, gang))

    def _gang_woken(self, gang: str) -> None:
        self._moved.discard(gang)
        members = self._cluster.workloads.store.by_index("gang", gang)
        if not members:
            self._gangs.gone(gang)
        for key in filter(self._pending.__contains__, map(key_of, members)):
            self._take_turn(key)

    def _take_turn(self, key: str) -> None:
        """Queue a Workload that may find a host now."""
        workload = self._cluster.workloads.store.get(key)
        if workload is not None:
            self._priority_queues.add(key, _group(workload), _priority(workload))
        self.controller.queue.add(key)

    def _neighbours_moved(self, namespace: str) -> None:
        """Queue the waiting Workloads of a namespace whose rules count its other Workloads."""
        if namespace not in self._moved:
            self._moved.add(namespace)
            # Each Workload with rules counts all others. So the more of them there are, the less
            # often they look again.
            delay = max(SETTLE, self._ruled.pop(namespace, 0) / RULED_PER_SECOND)
            self._clock.call_later(delay, partial(self._ruled_woken, namespace))

    def _ruled_woken(self, namespace: str) -> None:
        self._moved.discard(namespace)
        own = self._cluster.workloads.store.by_index("namespace", namespace)
        waiting = [key for one in own if (key := key_of(one)) in self._pending and self._placed_workloads.has_rules(one)]
        if waiting:
            self._ruled[namespace] = len(waiting)
        for key in sorted(waiting, key=self._rank):
            self._take_turn(key)

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        host = new or old
        assert host is not None
        class_name = str(host["spec"]["className"])
        version = self._free.version(class_name)
        if new is not None and (held := recovered_key(new)) and not (old is not None and recovered_key(old)):
            self.controller.queue.add(held[0])
        if self._placed_workloads.update(old, new):
            self._neighbours_moved(host["spec"]["claimRef"]["namespace"])
        if self._free.update(old, new) is not None:
            self._wake(class_name)
        elif self._free.version(class_name) != version and class_name not in self._retelling:
            self._retelling.add(class_name)
            self._clock.call_later(self._repeat(), partial(self._retell, class_name))

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _terms(old) != _terms(new):
            self._gangs.all_changed()
            self._wake(None)
        elif is_connected(old) != is_connected(new):
            self._wake(name_of(new))

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or tenancy_of(old) != tenancy_of(new):
            self._gangs.all_changed()
            self._wake(None)

    def _wake(self, class_name: str | None) -> None:
        """Queue the Workloads that wait for this class (None: all), once for many simultaneous
        changes."""
        if class_name not in self._waking:
            self._waking.add(class_name)
            self._clock.call_later(SETTLE, partial(self._woken, class_name))

    def _wake_later(self, host: Object) -> None:
        """Queue waiting Workloads when the host's assumption expires.

        If the host is free then, no event will report that."""
        self._clock.call_later(ASSUMED_FOR, partial(self._wake, str(host["spec"]["className"])))

    def _woken(self, class_name: str | None) -> None:
        self._waking.discard(class_name)
        waiting = self._pending.all() if class_name is None else self._pending.of(class_name)
        # Within a namespace, the first to be queued is the first to look for a host.
        for key in sorted(waiting, key=self._rank):
            self._take_turn(key)

    def _rank(self, key: str) -> int:
        """Return a sort key for a waiting Workload, the highest priority first."""
        workload = self._cluster.workloads.store.get(key)
        return -_priority(workload) if workload is not None else 0

    def _retell(self, class_name: str) -> None:
        """Update messages: no host has become free, but the reasons have changed."""
        self._retelling.discard(class_name)
        self._woken(class_name)

    def _repeat(self) -> float:
        """Return the seconds between changes of a Workload's message with the same reason.

        Counts change with every host."""
        return max(REPEAT_MESSAGE, len(self._pending) / MESSAGES_PER_SECOND)

    async def reconcile(self, key: str) -> Result | None:
        """Bind the Workload, or report why that is impossible."""
        self._priority_queues.remove(key)
        workload = self._cluster.workloads.store.get(key)
        if workload is None or not is_pending(workload):
            return None
        if (wait := self._bound.seconds(key, uid_of(workload))) > 0:
            return Result(requeue_after=wait)  # the event of this scheduler's own binding has not arrived yet
        try:
            return await self._bind(key, workload)
        except Unbindable as error:
            kept = error.reason in ("NoHostFits", "GangWaits") and self._free.keeps_any()
            again = await self._report_unbindable(key, workload, error) or (Result(requeue_after=self._repeat()) if kept else None)
            if isinstance(error, QuotaExceeded | BindingForbidden | GangPutOff):
                return again or Result(requeue_after=self._full.seconds(key) or self._forbidden.seconds(key) or LOOK_AT_QUOTA)
            # Views are not watched, so a view that is required by name is looked up periodically.
            return again or (Result(requeue_after=LOOK_FOR_PINNED) if workload["spec"].get("hostRef") else None)

    async def _bind(self, key: str, workload: Object) -> Result | None:
        class_ = self._class_of(workload)
        self._pending.add(key, name_of(class_))
        if (refused := not_allowed(class_, workload) or retain_refused(class_, workload)) is not None:
            raise Unbindable(*refused)
        if not is_connected(class_) and not self._free.total(name_of(class_)):
            raise Unbindable("ClassNotReady", _not_ready(name_of(class_)))
        if (host := self._recovered(workload, class_)) is not None:
            return None if await self._post(workload, name_of(host)) else Result(requeue_after=1.0)
        if workload["spec"].get("hostRef"):
            return await self._bind_pinned(workload, class_)
        if (reason := too_complex(workload)) is not None:
            raise Unbindable("TooComplex", reason)
        if self._priority_queues.waits(_group(workload), _priority(workload)) and not self._gangs.is_planned(key):
            self._priority_queues.add(key, _group(workload), _priority(workload))
            return Result(requeue_after=max(SETTLE, self._priority_queues.seconds(_group(workload))))
        if not self._gangs.is_planned(key) and (full := self._full.refusal(key)) is not None:
            return await self._bind_own(workload, class_, self._wanted(workload, class_), QuotaExceeded("QuotaExceeded", full))
        if (forbidden := self._forbidden.refusal(key)) is not None:
            raise BindingForbidden("BindingForbidden", forbidden)
        patience = 0.0 if key in self._reported else NEW_WAIT
        if not self._gangs.is_planned(key) and (wait := self._cpu_budget.seconds(namespace_of(workload))) > patience:
            self._priority_queues.add(key, _group(workload), _priority(workload))
            return Result(requeue_after=wait)
        for _ in range(ATTEMPTS):
            want = self._wanted(workload, class_)
            planned = self._of_gang(workload)
            try:
                if await self._post(workload, planned or self._choose(key, class_, self._forbidden.another(key, want))):
                    return None
            except QuotaExceeded as error:
                self._full.add(key, error.message())
                if planned is not None:
                    self._put_off(workload, error)
                return await self._bind_own(workload, class_, want, error)
            except BindingForbidden as error:
                if planned is not None:
                    self._put_off(workload, error)
                if self._forbidden.add(key, error.message()) or planned is not None:
                    raise
        return Result(requeue_after=SETTLE)

    def _put_off(self, workload: Object, error: Unbindable) -> None:
        """Release the hosts that are planned for the rest of a gang, until the quota is tried
        again."""
        members = self._cluster.workloads.store.by_index("gang", gang_key(workload)[0])
        self._gangs.put_off(members, Refusal(error.reason, error.message()), self._clock.time() + LOOK_AT_QUOTA)

    async def _bind_own(self, workload: Object, class_: Object, want: Requirements, error: QuotaExceeded) -> Result | None:
        """Bind a host that the namespace left uncleaned, which its quota already counts.

        Raises `error` if none fits."""
        chosen = self._free.best(name_of(class_), replace(want, own=True))
        if chosen is None:
            raise error
        self._free.assume(chosen)
        return None if await self._post(workload, chosen) else Result(requeue_after=SETTLE)

    def _wanted(self, workload: Object, class_: Object) -> Requirements:
        """Return the Workload's requirements, with the rules of its placement as they apply now."""
        want = requirements_of(workload, self._namespace_uid(workload))
        if not self._placed_workloads.has_rules(workload):
            return want
        with self._cpu_budget.of(namespace_of(workload)):
            looking = replace(want, failure_domain="", rules=Rules(topology_keys(workload)))
            domains = self._free.domains(name_of(class_), looking, spread_keys(workload))
            return replace(looking, rules=rules_of(workload, self._placed_workloads.neighbours(workload), domains))

    def wanted(self, workload: Object) -> tuple[str, Requirements] | None:
        """Return the class and the requirements of a gang's member, None if it cannot have a
        host."""
        try:
            class_ = self._class_of(workload)
        except Unbindable:
            return None
        if not_allowed(class_, workload) or retain_refused(class_, workload) or too_complex(workload):
            return None
        return name_of(class_), self._wanted(workload, class_)

    def _of_gang(self, workload: Object) -> str | None:
        """Return the (assumed) host that is planned for a gang's member.

        Return None without a gang, or if enough of its members have hosts. Raises Unbindable."""
        if not (gang := gang_key(workload)):
            return None
        if (planned := self._gangs.take(workload)) is not None:
            return planned
        if (why := self._gangs.is_put_off(workload, self._clock.time())) is not None:
            raise GangPutOff(why.reason, why.message)
        refusal = self._gangs.refused(workload)
        if refusal is None:
            members = self._cluster.workloads.store.by_index("gang", gang[0])
            bound = {key for one in members if not has_host(one) and self._bound.seconds(key := key_of(one), uid_of(one)) > 0}
            with self._cpu_budget.of(namespace_of(workload)):
                made = self._gangs.make(workload, members, bound)
            if isinstance(made, list):
                for key in made:
                    self.controller.queue.add(key)
                if (planned := self._gangs.take(workload)) is not None:
                    return planned
            refusal = made if isinstance(made, Refusal) else None
        if refusal is not None:
            raise Unbindable(refusal.reason, refusal.message)
        return None

    def _recovered(self, workload: Object, class_: Object) -> Object | None:
        """Return the host that the Workload's predecessor, of the same namespace and name, had in a
        store that was lost. Return None if there is none."""
        uid = self._namespace_uid(workload)
        hosts = self._cluster.hosts.store.by_index("recovered", key_of(workload))
        own = (host for host in hosts if (host["status"]["held"].get("namespaceUID") or "") == uid)
        return next((host for host in own if host["spec"]["className"] == name_of(class_)), None)

    def _namespace_uid(self, workload: Object) -> str:
        """Return the uid of the Workload's namespace as last seen, or ""."""
        namespace = self._cluster.namespaces.store.get(namespace_of(workload))
        return uid_of(namespace) if namespace is not None else ""

    def _class_of(self, workload: Object) -> Object:
        """Return the Workload's class if it may use it. Raises Unbindable."""
        classes = self._cluster.classes.store
        name = workload["spec"].get("className")
        class_ = classes.get(name) if name else default_class(classes)
        if class_ is None and not name:
            raise Unbindable("NoDefaultClass", "spec.className is empty and no WorkloadClass is the default: set spec.className")
        if class_ is None:
            raise Unbindable("ClassNotFound", f'there is no WorkloadClass "{name}": correct spec.className, or have the class created')
        if deleting(class_):
            raise Unbindable("ClassDeleting", f'the WorkloadClass "{name_of(class_)}" is being deleted: {_OTHER_CLASS}')
        namespace = self._cluster.namespaces.store.get(namespace_of(workload))
        if namespace is not None and not is_active(namespace):
            raise Unbindable("NamespaceNotAllowed", f'the namespace "{namespace_of(workload)}" is being deleted: use another one')
        if namespace is None or not admits(class_, namespace):
            message = f'the WorkloadClass "{name_of(class_)}" does not allow namespace "{namespace_of(workload)}"'
            raise Unbindable("NamespaceNotAllowed", f"{message}: ask its owner, or {_OTHER_CLASS}")
        return class_

    def _choose(self, key: str, class_: Object, want: Requirements) -> str:
        """Return the best host's name, assumed so that no other Workload tries it."""
        chosen = self._free.best(name_of(class_), want)
        if chosen is None:
            if not self._free.total(name_of(class_)):
                raise Unbindable("NoHosts", _no_hosts(name_of(class_)))
            raise Unbindable("NoHostFits", partial(self._explain, key, class_, want))
        self._free.assume(chosen)
        return chosen

    def _explain(self, key: str, class_: Object, want: Requirements) -> str:
        """Return why no host of the class fits, as of the latest count."""
        text, fresh = self._explanations.of(name_of(class_), want)
        if not fresh:
            self.controller.queue.add_after(key, self._repeat())
        return text if is_connected(class_) else f"{text}; {_DISCONNECTED}"

    async def _bind_pinned(self, workload: Object, class_: Object) -> Result | None:
        wanted = workload["spec"]["hostRef"]["name"]
        host = await self._pinned(workload, wanted)
        if host["spec"]["className"] != name_of(class_):
            other = host["spec"]["className"]
            raise Unbindable(
                "HostOfOtherClass", f'the host "{wanted}" is of class "{other}": set spec.className to it, or drop spec.hostRef'
            )
        claim = host["spec"].get("claimRef")
        if claim and claim["namespace"] != namespace_of(workload):
            # The tenant must not learn that another namespace has the host.
            raise Unbindable("HostNotFound", _not_offered(wanted, self._cluster.view_group))
        if reason := unavailable_phrase(host):
            raise Unbindable("HostNotFree", f'the host "{wanted}" {_is(reason)}: it is taken as soon as it is free')
        self._free.assume(name_of(host))
        return None if await self._post(workload, name_of(host)) else Result(requeue_after=1.0)

    async def _pinned(self, workload: Object, name: str) -> Object:
        """Return the Host behind the view of this name. Raises Unbindable."""
        view = await self._cluster.client.find(kinds.views(self._cluster.view_group), name, namespace_of(workload))
        host = self._cluster.hosts.store.get(view["status"]["provisioning"]["ID"]) if view is not None else None
        if host is None:
            raise Unbindable("HostNotFound", _not_offered(name, self._cluster.view_group))
        return host

    async def _post(self, workload: Object, host: str) -> bool:
        """Claim the (assumed) host. Return False if the server refused this host, so that another
        one may be tried."""
        body = {
            "apiVersion": kinds.WORKLOADS.api_version,
            "kind": "Binding",
            # The server compares uid and generation, because the host was chosen only for this
            # Workload with this spec.
            "metadata": {field: workload["metadata"][field] for field in DECIDED_BY if field in workload["metadata"]},
            "target": {"name": host},
        }
        self._placed_workloads.assume(workload, host)
        try:
            await self._cluster.client.create(kinds.WORKLOADS, body, namespace_of(workload), name=name_of(workload), subresource="binding")
        except BaseException as error:
            self._placed_workloads.forget(workload, host)
            if not isinstance(error, ApiException):
                raise
            if error.forbidden and is_of_quota(error.message):
                self._free.forget(host)
                raise QuotaExceeded("QuotaExceeded", error.message) from None
            if error.status in {403, 404, 409, 422}:
                log.info("workload %s: not bound to host %s: %s", key_of(workload), host, error)
                if await self._is_obsolete(workload):
                    self._free.forget(host)
                    return True
                if error.forbidden or error.invalid:
                    self._free.forget(host)
                    raise BindingForbidden("BindingForbidden", _FORBIDDEN) from None
                if (found := self._cluster.hosts.store.get(host)) is not None:
                    self._wake_later(found)
                # The host is the cause. It stays assumed, so that the next attempt uses another
                # host.
                return False
            self._free.forget(host)
            raise
        self._bound.assume(key_of(workload), uid_of(workload))
        self._cluster.events.event(typed(kinds.WORKLOADS, workload), "Normal", "Bound", "a host was found", detail=f"host {host}")
        return True

    async def _is_obsolete(self, workload: Object) -> bool:
        """Return whether the Workload needs no such host any more.

        The informer may lag behind our own binding, or behind a change of spec. The event of a
        changed Workload will add it to the queue."""
        current = await self._cluster.client.find(kinds.WORKLOADS, name_of(workload), namespace_of(workload))
        if current is None or not is_pending(current):
            return True
        # A spec that was changed and changed back is equal; its generation is not.
        return any(current["metadata"].get(field) != workload["metadata"].get(field) for field in DECIDED_BY)

    async def _report_unbindable(self, key: str, workload: Object, error: Unbindable) -> Result | None:
        """Write the reason to the Workload, with one event per reason."""
        before = find_condition((workload.get("status") or {}).get("conditions"), "Bound")
        same = before is not None and before["reason"] == error.reason
        wait = self._reported[key] + self._repeat() - self._clock.time() if key in self._reported else 0.0
        if same and wait > 0:
            return Result(requeue_after=wait)
        self._reported[key] = self._clock.time()
        message = error.message()
        generation = workload["metadata"].get("generation")
        conditions = [
            condition("Bound", False, error.reason, message, generation=generation),
            condition("Ready", False, error.reason, message, generation=generation),
        ]
        put = workload_conditions((workload.get("status") or {}).get("conditions"), conditions, timestamp())
        status = {"phase": "Pending", "observedGeneration": generation, "conditions": put}
        await self._cluster.patch_status(kinds.WORKLOADS, workload, status)
        if not same:
            self._cluster.events.event(typed(kinds.WORKLOADS, workload), "Warning", error.reason, message)
        return None


def _group(workload: Object) -> tuple[str, str]:
    """Return the group within which the Workload's priority counts: its namespace and class."""
    return namespace_of(workload), workload["spec"].get("className") or ""


def _priority(workload: Object) -> int:
    return int(workload["spec"].get("priority") or 0)


def _counts_for_others(workload: Object | None) -> tuple[object, ...]:
    """Return the parts of a Workload on which the placement of other Workloads may depend."""
    return (has_host(workload), workload["spec"], labels_of(workload), deleting(workload)) if workload is not None else ()


_FORBIDDEN = (
    "an admission policy or a webhook of the cluster forbids the binding, which is tried again: ask the class's owner, whose controllers' "
    "log has the reason"
)
_OTHER_CLASS = "set spec.className to another class (kubectl get workloadclasses)"
"""The class may be changed while there is no host, so the Workload need not be created again."""
_DISCONNECTED = "the class is not connected to its source of machines now"


def _not_ready(class_name: str) -> str:
    """Return the message for a class without hosts whose source does not answer.

    Only the owner learns why."""
    return (
        f'the WorkloadClass "{class_name}" is not connected to its source of machines: a host is bound as soon as it is connected and has '
        f"one; ask the class's owner, or {_OTHER_CLASS}"
    )


def _no_hosts(class_name: str) -> str:
    return f'the WorkloadClass "{class_name}" has no hosts: one is bound as soon as there is one; ask the class\'s owner, or {_OTHER_CLASS}'


def _terms(class_: Object) -> tuple[object, ...]:
    """Return the parts of a class that decide which namespaces may have which of its hosts."""
    return class_["spec"], class_["metadata"].get("annotations"), class_["metadata"].get("deletionTimestamp")


def _not_offered(name: str, view_group: str) -> str:
    return f'no host "{name}" is offered in this namespace (kubectl get baremetalhosts.{view_group}): correct spec.hostRef, or drop it'


def _is(phrase: str) -> str:
    verb, _, rest = phrase.partition(" ")
    return f"{ {'are': 'is', 'hold': 'holds', 'report': 'reports'}.get(verb, verb) } {rest}"
