"""What both kinds of webhooks share: which of them a write concerns, one call, and what a failed call means."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.admission import review
from apiserver.admission.caller import CallFailed
from apiserver.admission.conditions import ConditionError, fulfilled
from apiserver.admission.rules import labels_of, objects_match
from apiserver.apis.status import ApiError, bad_request, forbidden, internal, not_found, service_unavailable

if TYPE_CHECKING:
    from apiserver.admission.caller import Caller
    from apiserver.admission.configurations import Configurations, Webhook
    from apiserver.admission.review import Verdict
    from apiserver.registry.claims.namespaces import Namespaces
    from apiserver.registry.generic.attributes import Attributes

__all__ = ["Dispatch", "Unanswered"]

log = logging.getLogger(__name__)


class Unanswered(Exception):
    """A webhook that could not be asked, whose failurePolicy says to go on without it."""


@dataclass(frozen=True)
class Dispatch:
    """Everything that calling webhooks takes. `mutating`: which kind of them `configurations` holds."""

    configurations: Configurations
    namespaces: Namespaces
    caller: Caller
    mutating: bool

    def webhooks(self) -> tuple[Webhook, ...]:
        """All of them, in order. Raises ApiError (503) as long as they are not known: a write must not slip past them."""
        if not self.configurations.known:
            raise service_unavailable("the cluster's admission webhooks are not known yet; try again")
        return self.configurations.webhooks

    async def concerns(self, webhook: Webhook, attributes: Attributes) -> bool:
        """Whether the webhook is to be asked of the write. Raises ApiError when that cannot be decided."""
        if not any(rule.matches(attributes) for rule in webhook.rules) or not objects_match(webhook.objects, attributes):
            return False
        if attributes.namespace and webhook.namespaces.requirements:
            namespace = await self.namespaces.get(attributes.namespace)
            if namespace is None:
                raise not_found("", "namespaces", attributes.namespace)
            if not webhook.namespaces.matches(labels_of(namespace)):
                return False
        return not webhook.conditions or self._fulfilled(webhook, attributes)

    async def ask(self, webhook: Webhook, attributes: Attributes) -> Verdict:
        """The webhook's verdict; its warnings and annotations are noted. Raises Unanswered, or ApiError: a failed call is a 500."""
        if attributes.context.dry_run and not webhook.dry_run:
            raise bad_request(f'admission webhook "{webhook.name}" does not support dry run')
        try:
            found = await self._call(webhook, attributes)
        except (CallFailed, review.BadAnswer) as error:
            said = "received invalid webhook response" if isinstance(error, review.BadAnswer) else "failed to call webhook"
            raise self.failure(webhook, f"{said}: {error}") from None
        attributes.context.warnings.extend(found.warnings)
        for key, text in found.annotations.items():
            attributes.context.annotations.setdefault(f"{webhook.name}/{key}", text)
        return found

    def failure(self, webhook: Webhook, why: str) -> ApiError | Unanswered:
        """What to raise when the webhook cannot be asked."""
        how = "closed" if webhook.fails_closed else "open"
        log.warning("failing %s: webhook %s of configuration %s: %s", how, webhook.name, webhook.configuration, why)
        return internal(f'failed calling webhook "{webhook.name}": {why}') if webhook.fails_closed else Unanswered(why)

    async def _call(self, webhook: Webhook, attributes: Attributes) -> Verdict:
        if webhook.broken:
            raise CallFailed(webhook.broken)
        uid, version = str(uuid.uuid4()), review.version_of(webhook.versions)
        body = orjson.dumps(review.question(version, review.request_of(uid, attributes)))
        return review.verdict(uid, version, await self.caller.call(webhook, body), mutating=self.mutating)

    def _fulfilled(self, webhook: Webhook, attributes: Attributes) -> bool:
        try:
            return fulfilled(webhook.conditions, variables_of(attributes))
        except ConditionError as error:
            how = "closed" if webhook.fails_closed else "open"
            log.warning("failing %s: webhook %s of configuration %s: %s", how, webhook.name, webhook.configuration, error)
            if not webhook.fails_closed:
                return False
            resource = attributes.resource
            why = f'webhook "{webhook.name}" cannot be skipped or called: {error}'
            raise forbidden(resource.group, resource.plural, attributes.name, why) from None


def variables_of(attributes: Attributes) -> dict[str, Any]:
    """What matchConditions see: the request as AdmissionReview has it, the objects apart."""
    request = review.request_of("", attributes)
    objects = {"object": request.pop("object"), "oldObject": request.pop("oldObject")}
    return {**objects, "request": {"subResource": "", "namespace": "", "name": "", **request}}
