"""Provide writes of a small kind as admission sees them, and a Caller that answers from
functions."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.admission.caller import CallFailed
from apiserver.admission.configurations import Configurations
from apiserver.admission.dispatcher import Dispatcher
from apiserver.admission.policies.running import Runner
from apiserver.apis.base import Model
from apiserver.apis.meta import ObjectMeta
from apiserver.cel.library.authorizer import Decision
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.admission.caller import Caller
    from apiserver.admission.configurations import Webhook
    from apiserver.cel.library.authorizer import Question
    from apiserver.registry.claims.namespaces import Namespaces

    Answer = Callable[[dict[str, Any]], Any]


class ThingSpec(Model):
    """A spec that can change."""

    size: int = 1
    color: str | None = None


class Thing(Model):
    """A kind with a spec and a status."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta
    spec: ThingSpec = ThingSpec()
    status: dict[str, Any] | None = None


THINGS = Resource("g", "v1", "Thing", "things", Thing, subresources={"status": frozenset({"update"})})
CLUSTER_THINGS = Resource("g", "v1", "ClusterThing", "clusterthings", Thing, namespaced=False)
USER = UserInfo("alice", "7", ("devs",), {"scopes": ("a", "b")})


def thing(name: str = "x", labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return an object as it is about to be stored."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "n",
        "uid": f"uid-{name}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
    }
    return {
        "apiVersion": "g/v1",
        "kind": "Thing",
        "metadata": {**metadata, **({"labels": labels} if labels else {})},
        "spec": spec or {"size": 1},
    }


def write(operation: str = "CREATE", resource: Resource = THINGS, subresource: str = "", **fields: Any) -> Attributes:
    """Return a write. New and old objects are generated unless they are given."""
    new = fields.get("new", None if operation == "DELETE" else thing())
    old = fields.get("old", None if operation == "CREATE" else {**thing(), "metadata": {**thing()["metadata"], "resourceVersion": "4"}})
    context = fields.get("context") or Context(USER, options={"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"})
    return Attributes(operation, context, resource, "n" if resource.namespaced else "", "x", new, old, subresource)


def configuration(name: str = "c", *webhooks: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration. Its webhooks match everything unless they specify rules."""
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "scope": "*"}
    usual = {"rules": [rule], "clientConfig": {"url": "https://h/p"}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    return {"metadata": {"name": name}, "webhooks": [{**usual, **webhook} for webhook in webhooks]}


def configurations(*given: dict[str, Any]) -> Configurations:
    """Return these configurations, in the state after synchronization."""
    result = Configurations()
    for one in given:
        result.changed(None, one)
    result.known = True
    return result


class Answering:
    """A Caller. `answers`, by the webhook's name, compute a response to a request, or are
    exceptions.

    `asked` holds the requests."""

    def __init__(self, **answers: Answer | Exception) -> None:
        self.answers, self.asked = answers, list[tuple[str, dict[str, Any]]]()
        self.together, self._now = 0, 0

    async def call(self, webhook: Webhook, body: bytes) -> bytes:
        """See Caller."""
        review = orjson.loads(body)
        self.asked.append((webhook.name, review["request"]))
        self._now += 1
        self.together = max(self.together, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        answer = self.answers[webhook.name]
        if isinstance(answer, Exception):
            raise answer
        response = {"uid": review["request"]["uid"], "allowed": True, **answer(review["request"])}
        return orjson.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})


def patching(*operations: dict[str, Any]) -> Answer:
    """Answer with a JSON patch."""
    return lambda request: {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(operations)).decode()}


def allowing(**more: Any) -> Answer:
    """Answer with "allowed"."""
    return lambda request: more


def denying(**status: Any) -> Answer:
    """Answer with "denied" and a Status."""
    return lambda request: {"allowed": False, "status": status}


class Permits:
    """An Authorization that permits everything."""

    async def decide(self, user: UserInfo, question: Question) -> Decision:
        """See Authorization."""
        return Decision(True)


def dispatcher(given: Configurations, namespaces: Namespaces, caller: Caller, *, mutating: bool) -> Dispatcher:
    """Return a Dispatcher that may evaluate everything."""
    return Dispatcher(given, namespaces, caller, mutating, Runner(Permits()))


AWAY = CallFailed("it is away")
