"""Call all matching validating webhooks concurrently (ValidatingAdmissionWebhook).

One refusal refuses the write. Source: admission/plugin/webhook/validating/dispatcher.go of
k8s.io/apiserver.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from apiserver.admission.dispatch import Dispatch, Unanswered
from apiserver.admission.review import denial
from apiserver.apis.status import ApiError
from apiserver.registry.generic.latency import waiting

if TYPE_CHECKING:
    from apiserver.admission.configurations import Webhook
    from apiserver.registry.generic.attributes import Attributes

__all__ = ["ValidatingWebhooks"]


class ValidatingWebhooks:
    """The Admission of validating webhooks, which changes nothing."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Call the webhooks. See Admission.

        Of several refusals, the first in the webhooks' order is returned, so that the same write
        gets the same answer."""
        webhooks = self._dispatch.webhooks()
        if not webhooks:
            return attributes.new
        concerned = [webhook for webhook in webhooks if await self._dispatch.concerns(webhook, attributes)]
        with waiting():
            refusals = await asyncio.gather(*(self._ask(webhook, attributes, index) for index, webhook in enumerate(concerned)))
        for refusal in refusals:
            if refusal is not None:
                raise refusal
        return attributes.new

    async def _ask(self, webhook: Webhook, attributes: Attributes, index: int) -> ApiError | None:
        try:
            verdict = await self._dispatch.ask(webhook, attributes)
        except Unanswered:
            attributes.context.annotations[f"failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}"] = webhook.name
            return None
        except ApiError as error:
            return error
        return None if verdict.allowed else denial(webhook.name, verdict.result)
