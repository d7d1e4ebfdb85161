"""Call mutating webhooks in sequence (MutatingAdmissionWebhook).

Each webhook sees the changes of the previous ones. Source:
admission/plugin/webhook/mutating/dispatcher.go of k8s.io/apiserver. A webhook with
reinvocationPolicy IfNeeded is called a second time if a later webhook changed the object.
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from apiserver.admission.configurations import Webhook
from apiserver.admission.dispatcher import Dispatcher, FailedOpen
from apiserver.admission.mutation import patched
from apiserver.admission.reinvocation import Calls
from apiserver.admission.review import denial
from apiserver.apis.status import internal
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.latency import track_wait


class MutatingWebhooks:
    """The Mutator of webhooks."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def mutate(self, attributes: Attributes, calls: Calls) -> Attributes:
        """Return the write after all webhooks. See Mutator."""
        run = self._dispatcher.write(attributes)
        for index, webhook in enumerate(self._dispatcher.webhooks()):
            if not calls.due(webhook.uid) or not await self._dispatcher.concerns(webhook, attributes, run):
                continue
            changed = await self._call(webhook, attributes, f"round_{calls.round}_index_{index}")
            if changed is not None:
                attributes = attributes._replace(new=changed)
            calls.made(webhook.uid, changed=changed is not None, again=webhook.reinvoked)
        return attributes

    async def _call(self, webhook: Webhook, attributes: Attributes, place: str) -> dict[str, Any] | None:
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
        noted = {"configuration": webhook.configuration, "webhook": webhook.name, "mutated": changed is not None}
        annotations[f"mutation.webhook.admission.k8s.io/{place}"] = orjson.dumps(noted).decode()
        return changed

    def _note_patch(self, webhook: Webhook, attributes: Attributes, place: str, patch: list[dict[str, Any]]) -> None:
        """Record a patch for audit at levels with complete requests, because it quotes objects."""
        noted = {"configuration": webhook.configuration, "webhook": webhook.name, "patch": patch, "patchType": "JSONPatch"}
        attributes.context.details[f"patch.webhook.admission.k8s.io/{place}"] = orjson.dumps(noted).decode()
