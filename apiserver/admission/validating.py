"""Call all matching validating webhooks concurrently (ValidatingAdmissionWebhook).

One refusal refuses the write. Source: admission/plugin/webhook/validating/dispatcher.go of
k8s.io/apiserver.
"""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.admission.configurations import Webhook
from apiserver.admission.dispatcher import Dispatcher, FailedOpen
from apiserver.admission.review import denial
from apiserver.apis.status import ApiError
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.latency import track_wait


class ValidatingWebhooks:
    """The Admission of validating webhooks, which changes nothing."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Call the webhooks. See Admission.

        Of several refusals, the first in the webhooks' order is returned, so that the same write
        gets the same answer."""
        webhooks = self._dispatcher.webhooks()
        if not webhooks:
            return attributes.new
        run = self._dispatcher.write(attributes)
        concerned = [webhook for webhook in webhooks if await self._dispatcher.concerns(webhook, attributes, run)]
        with track_wait():
            refusals = await asyncio.gather(*(self._call(webhook, attributes, index) for index, webhook in enumerate(concerned)))
        for refusal in refusals:
            if refusal is not None:
                raise refusal
        return attributes.new

    async def _call(self, webhook: Webhook, attributes: Attributes, index: int) -> ApiError | None:
        try:
            verdict = await self._dispatcher.ask(webhook, attributes)
        except FailedOpen:
            attributes.context.annotations[f"failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}"] = webhook.name
            return None
        except ApiError as error:
            return error
        return None if verdict.allowed else denial(webhook.name, verdict.result)
