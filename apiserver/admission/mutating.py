"""Call mutating webhooks in sequence (MutatingAdmissionWebhook).

Each webhook sees the changes of the previous ones. Source:
admission/plugin/webhook/mutating/dispatcher.go of k8s.io/apiserver. A webhook with
reinvocationPolicy IfNeeded is called once more if a later one changed the object.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.admission.dispatcher import Dispatcher, FailedOpen
from apiserver.admission.mutation import contained, patched
from apiserver.admission.review import denial
from apiserver.apis.status import internal
from apiserver.registry.generic.latency import track_wait

if TYPE_CHECKING:
    from apiserver.admission.configurations import Webhook
    from apiserver.registry.generic.attributes import Attributes


class MutatingWebhooks:
    """The Admission of mutating webhooks."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Return the object, normalized if a webhook changed it. See Admission."""
        if not self._dispatcher.webhooks():
            return attributes.new
        after, again = await self._round(attributes, 0)
        if again:
            after, _ = await self._round(after, 1, again)
        return attributes.new if after.new is attributes.new or after.new is None else contained(attributes, after.new)

    async def _round(self, attributes: Attributes, number: int, only: set[str] | None = None) -> tuple[Attributes, set[str]]:
        """Return the write after all webhooks, and the uids of those that must be called again.

        `only` restricts the round to webhooks with these uids."""
        called, again = set[str](), set[str]()
        for index, webhook in enumerate(self._dispatcher.webhooks()):
            if (only is not None and webhook.uid not in only) or not await self._dispatcher.concerns(webhook, attributes):
                continue
            place = f"round_{number}_index_{index}"
            changed = await self._ask(webhook, attributes, place)
            if changed is not None:
                attributes = attributes._replace(new=changed)
                again, called = again | called, set()
            if webhook.reinvoked:
                called.add(webhook.uid)
        return attributes, again

    async def _ask(self, webhook: Webhook, attributes: Attributes, place: str) -> dict[str, Any] | None:
        """Return the object as the webhook changed it, or None if it did not."""
        annotations = attributes.context.annotations
        try:
            with track_wait():
                verdict = await self._dispatcher.ask(webhook, attributes)
        except FailedOpen:
            annotations[f"failed-open.mutation.webhook.admission.k8s.io/{place}"] = webhook.name
            return None
        if not verdict.allowed:
            raise denial(webhook.name, verdict.result)
        changed = None
        if verdict.patch:
            if attributes.new is None:
                raise internal(
                    f'admission webhook "{webhook.name}" attempted to modify the object, which is not supported for this operation'
                )
            changed = patched(webhook.name, copy.deepcopy(attributes.new), verdict.patch)
            changed = None if changed == attributes.new else changed
            self._note_patch(webhook, attributes, place, verdict.patch)
        told = {"configuration": webhook.configuration, "webhook": webhook.name, "mutated": changed is not None}
        annotations[f"mutation.webhook.admission.k8s.io/{place}"] = orjson.dumps(told).decode()
        return changed

    def _note_patch(self, webhook: Webhook, attributes: Attributes, place: str, patch: list[dict[str, Any]]) -> None:
        """Record a patch for audit at levels with complete requests, because it quotes objects."""
        told = {"configuration": webhook.configuration, "webhook": webhook.name, "patch": patch, "patchType": "JSONPatch"}
        attributes.context.details[f"patch.webhook.admission.k8s.io/{place}"] = orjson.dumps(told).decode()
