"""Compose the admission of `serve` from the management cluster: namespaces, webhooks, policies and
quotas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client.registry import Collector

from apiserver.admission.caller import HttpCaller
from apiserver.admission.chain import AdmissionChain
from apiserver.admission.chargedhosts import ChargedHosts
from apiserver.admission.configurations import Configurations
from apiserver.admission.dispatcher import Dispatcher
from apiserver.admission.machinequota import MachineQuota
from apiserver.admission.metrics import WebhookMetrics
from apiserver.admission.mutating import MutatingWebhooks
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.admission.policies.metrics import EvaluationMetrics
from apiserver.admission.policies.mutating import MutatingPolicies
from apiserver.admission.policies.running import Runner
from apiserver.admission.policies.validating import ValidatingPolicies
from apiserver.admission.quotaturns import QuotaTurns
from apiserver.admission.reinvocation import Mutators
from apiserver.admission.resourcequota import ResourceQuota
from apiserver.admission.validating import ValidatingWebhooks
from apiserver.client.client import Client
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, Resource
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import Resource as Served
from apiserver.registry.workload import WorkloadRegistry
from apiserver.server.delegation.policies import ManagementParams, Reviews, mutating_policies, validating_policies
from apiserver.server.delegation.quotas import ManagementQuotas
from apiserver.server.delegation.quotastatus import QuotaStatusWriter

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
GROUP = "admissionregistration.k8s.io"
MUTATING = Resource(GROUP, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False)
VALIDATING = Resource(GROUP, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False)


class ManagementAdmission:
    """The admission of `serve`.

    `chain` is the Admission of all registries, which `serve` passes once they are created.
    `metrics` measure the webhooks and the policies. Nothing is requested before `background`
    runs."""

    def __init__(self, client: Client, namespaces: Namespaces) -> None:
        self._quotas, self._registries = Informer(client, QUOTAS), dict[tuple[str, str], "Registry"]()
        self._caller, self._informers = HttpCaller(), {"resourcequotas": self._quotas}
        self._mutating, self._validating = mutating_policies(client), validating_policies(client)
        self._params = ManagementParams(client, lambda: self._mutating.policies.param_kinds | self._validating.policies.param_kinds)
        self._runner = Runner(Reviews(client))
        webhooks, evaluations = WebhookMetrics(), EvaluationMetrics()
        calling = (self._runner, webhooks, evaluations)
        mutating = Dispatcher(self._follow(client, MUTATING), namespaces, self._caller, True, *calling)
        validating = Dispatcher(self._follow(client, VALIDATING), namespaces, self._caller, False, *calling)
        known = (namespaces, self._params, self._runner, evaluations)
        changing = MutatingPolicies(self._mutating.policies, *known)
        checking = ValidatingPolicies(self._validating.policies, *known)
        self._charged_hosts: ChargedHosts | None = None
        self._quota_source = ManagementQuotas(client, self._copy)
        self._quota = ResourceQuota(self._quota_source, self._names, self._charged_count)
        self._used: QuotaStatusWriter | None = None
        self.metrics: tuple[Collector, ...] = (webhooks, evaluations, changing.metrics, checking.metrics)
        mutators = Mutators(changing, MutatingWebhooks(mutating))
        self.chain = AdmissionChain([NamespaceLifecycle(namespaces), mutators, checking, ValidatingWebhooks(validating)])

    def serve(self, registries: Iterable[Registry]) -> None:
        """Set the registries, whose objects count for quotas, before their cache is started."""
        self._registries = {(one.resource.group, one.resource.plural): one for one in registries}
        for one in self._registries.values():
            if isinstance(one, WorkloadRegistry):
                self._charged_hosts = ChargedHosts(one.claims)
                self.chain.add(MachineQuota(self._quota_source, one.claims, QuotaTurns(one.cache)))
                self._used = QuotaStatusWriter(self._quotas, self._quota_source, one.claims)
        self.chain.add(self._quota)

    @property
    def background(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the tasks that must run, by name."""
        policies = {one.plural: one.run for one in (self._mutating, self._validating)}
        used = {"use of quotas": self._used.run} if self._used is not None else {}
        return {**{name: informer.run for name, informer in self._informers.items()}, **policies, **used}

    @property
    def ready(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return checks that everything was read once.

        Later failures do not make them fail: the known state stays in use."""
        policies = {one.plural: one.ready for one in (self._mutating, self._validating)}
        return {**{name: _check(name, informer) for name, informer in self._informers.items()}, **policies}

    @property
    def advice(self) -> dict[str, Callable[[], str]]:
        """Return reports of what is not followed any more, by name."""
        return {f"{one.plural}-followed": one.report for one in (self._mutating, self._validating)}

    def followed(self) -> Iterator[tuple[dict[str, str], float]]:
        """Yield whether changes of each kind of policies are seen."""
        for one in (self._mutating, self._validating):
            yield {"resource": one.plural}, float(not one.report())

    async def close(self) -> None:
        """Cancel the running calls."""
        self._runner.close()
        await self._params.close()
        await self._quota.close()
        await self._caller.close()

    def _follow(self, client: Client, resource: Resource) -> Configurations:
        configurations = Configurations()
        informer = self._informers[resource.plural] = Informer(client, resource)
        informer.add_handler(configurations.changed)

        def listed() -> None:
            configurations.known = informer.synced.is_set()

        informer.add_health_handler(listed)
        return configurations

    def _copy(self, namespace: str) -> list[Object] | None:
        informer = self._quotas
        known = informer.synced.is_set() and informer.stale_since is None
        return informer.store.by_index("namespace", namespace) if known else None

    def _names(self, resource: Served, namespace: str) -> list[str]:
        registry = self._registries[resource.group, resource.plural]
        return [entry.name for entry in registry.collection.range(resource.key(namespace, ""))]

    def _charged_count(self, attributes: Attributes) -> int:
        return self._charged_hosts.count(attributes) if self._charged_hosts is not None else 0


def _check(name: str, informer: Informer) -> Callable[[], Awaitable[None]]:
    async def known() -> None:
        if not informer.synced.is_set():
            raise RuntimeError(f"{name} were not listed yet{f': {informer.last_error}' if informer.last_error else ''}")

    return known
