"""Select the webhooks of a write, call them, and apply their failurePolicy.

Mutating and validating webhooks share this code."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field
from functools import partial

import orjson

from apiserver.admission import review
from apiserver.admission.caller import Caller, CallFailed
from apiserver.admission.configurations import Configurations, Webhook
from apiserver.admission.metrics import WebhookMetrics
from apiserver.admission.policies.activation import authorizers, variables_of
from apiserver.admission.policies.evaluating import matched
from apiserver.admission.policies.metrics import EvaluationMetrics
from apiserver.admission.policies.running import Run, Runner
from apiserver.admission.review import Verdict
from apiserver.admission.rules import labels_of, objects_match
from apiserver.apis.status import ApiError, bad_request, forbidden, internal, not_found, service_unavailable
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.generic.attributes import Attributes

log = logging.getLogger(__name__)


class FailedOpen(Exception):
    """A webhook could not be called, and its failurePolicy is to continue without it."""


@dataclass(frozen=True)
class Dispatcher:
    """The components for calling webhooks. `mutating` is the kind of webhooks in `configurations`.

    `runner` evaluates their matchConditions, which `evaluations` measures. `metrics` measures the
    calls."""

    configurations: Configurations
    namespaces: Namespaces
    caller: Caller
    mutating: bool
    runner: Runner
    metrics: WebhookMetrics = field(default_factory=WebhookMetrics)
    evaluations: EvaluationMetrics = field(default_factory=EvaluationMetrics)

    def webhooks(self) -> tuple[Webhook, ...]:
        """Return all webhooks in order.

        Raises ApiError (503) while they are not known, so that no write bypasses them."""
        if not self.configurations.known:
            raise service_unavailable("the cluster's admission webhooks are not known yet; try again")
        return self.configurations.webhooks

    def write(self, attributes: Attributes) -> Run:
        """Return a Run for the matchConditions of all webhooks for a write."""
        return self.runner.write(attributes.context.user)

    async def concerns(self, webhook: Webhook, attributes: Attributes, run: Run) -> bool:
        """Return whether the webhook must be called for the write. Raises ApiError if that is
        undecidable."""
        if not any(rule.matches(attributes) for rule in webhook.rules) or not objects_match(webhook.objects, attributes):
            return False
        if attributes.namespace and webhook.namespaces.requirements:
            namespace = await self.namespaces.get(attributes.namespace)
            if namespace is None:
                raise not_found("", "namespaces", attributes.namespace)
            if not webhook.namespaces.matches(labels_of(namespace)):
                return False
        return not webhook.conditions or await self._fulfilled(webhook, attributes, run)

    async def ask(self, webhook: Webhook, attributes: Attributes) -> Verdict:
        """Return the webhook's verdict, and record its warnings and annotations.

        Raises FailedOpen, or ApiError: a failed call is a 500."""
        if attributes.context.dry_run and not webhook.dry_run:
            raise bad_request(f'admission webhook "{webhook.name}" does not support dry run')
        called, began = (webhook.name, "admit" if self.mutating else "validating", attributes.operation), time.perf_counter()
        try:
            found = await self._call(webhook, attributes)
        except (CallFailed, review.BadAnswer) as error:
            self.metrics.failed(*called, time.perf_counter() - began, closed=webhook.fails_closed)
            said = "received invalid webhook response" if isinstance(error, review.BadAnswer) else "failed to call webhook"
            raise self.failure(webhook, f"{said}: {error}") from None
        code = 200 if found.allowed else review.denial(webhook.name, found.result).code
        self.metrics.answered(*called, time.perf_counter() - began, allowed=found.allowed, code=code)
        attributes.context.warnings.extend(found.warnings)
        for key, text in found.annotations.items():
            attributes.context.annotations.setdefault(f"{webhook.name}/{key}", text)
        return found

    def failure(self, webhook: Webhook, why: str) -> ApiError | FailedOpen:
        """Return the error to raise for a webhook that cannot be called."""
        how = "closed" if webhook.fails_closed else "open"
        log.warning("failing %s: webhook %s of configuration %s: %s", how, webhook.name, webhook.configuration, why)
        return internal(f'failed calling webhook "{webhook.name}": {why}') if webhook.fails_closed else FailedOpen(why)

    async def _call(self, webhook: Webhook, attributes: Attributes) -> Verdict:
        if webhook.broken:
            raise CallFailed(webhook.broken)
        uid, version = str(uuid.uuid4()), review.version_of(webhook.versions)
        body = orjson.dumps(review.question(version, review.request_of(uid, attributes)))
        return review.verdict(uid, version, await self.caller.call(webhook, body), mutating=self.mutating)

    async def _fulfilled(self, webhook: Webhook, attributes: Attributes, run: Run) -> bool:
        variables = {**variables_of(attributes, None), **authorizers(attributes, run.decisions)}
        match = await run.result(partial(matched, webhook.conditions, variables))
        kind = "admit" if self.mutating else "validating"
        self.evaluations.evaluated(webhook.name, "webhook", kind, attributes.operation, match)
        if match.error:
            how = "closed" if webhook.fails_closed else "open"
            log.warning("failing %s: webhook %s of configuration %s: %s", how, webhook.name, webhook.configuration, match.error[:1024])
            self.evaluations.failed(webhook.name, "webhook", closed=webhook.fails_closed)
        if match.error and webhook.fails_closed:
            resource = attributes.resource
            why = f'webhook "{webhook.name}" cannot be skipped or called: {match.error}'
            raise forbidden(resource.group, resource.plural, attributes.name, why)
        return not match.excluded and not match.error
