"""Follow the management cluster's admission policies, their bindings and their parameters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apiserver.admission.policies.definitions import MUTATING, VALIDATING, Policies
from apiserver.admission.policies.params import NoParams, Source
from apiserver.cel.library.authorizer import Decision, Question
from apiserver.client.client import Client
from apiserver.client.clock import Backoff
from apiserver.client.errors import ApiException, BadConfig
from apiserver.client.informer import Informer
from apiserver.client.objects import Resource
from apiserver.registry.generic.context import SERVICE_ACCOUNT, UserInfo
from apiserver.server.delegation.reviews import ask, summary

log = logging.getLogger(__name__)

GROUP = "admissionregistration.k8s.io"
AGAIN_SECONDS = 300.0
"""The seconds after which a cluster without policies is asked again: it may have been upgraded."""
SYNC_SECONDS = 1.0
"""The seconds for which a write waits for parameters that were never listed, as in
kube-apiserver."""
REVIEW_SECONDS = 10.0


class FollowedPolicies:
    """The policies of one kind and their bindings, as informers keep them.

    A cluster that is too old for them has none, which is logged."""

    def __init__(self, client: Client, kind: str, plural: str, versions: tuple[str, ...]) -> None:
        self._client, self._kind, self.plural, self._versions = client, kind, plural, versions
        self.policies = Policies()
        self.last_error: Exception | None = None
        self._synced = 0

    async def run(self) -> None:
        """Follow them until cancelled."""
        backoff = Backoff()
        while True:
            try:
                version = await self._served()
            except (ApiException, BadConfig) as error:
                self.last_error = error
                await asyncio.sleep(backoff.next())
                continue
            if version:
                await self._follow(version)
            if not self.policies.known:
                log.warning("the management cluster serves no %s: none are enforced", self.plural)
            self.policies.known = True
            await asyncio.sleep(AGAIN_SECONDS)

    async def ready(self) -> None:
        """Raise RuntimeError until they were read once, or are known not to exist."""
        if not self.policies.known:
            raise RuntimeError(f"{self.plural} were not listed yet{f': {self.last_error}' if self.last_error else ''}")

    def report(self) -> str:
        """Return why changes of the policies are not seen, or ""."""
        if not self.policies.known or self.last_error is None:
            return ""
        return f"changes of {self.plural} are not seen, and the last known ones stay enforced: {self.last_error}"

    async def _served(self) -> str:
        """Return the first version that the cluster serves, "" if there is none."""
        for version in self._versions:
            try:
                found = await self._client.request("GET", f"/apis/{GROUP}/{version}")
            except ApiException as error:
                if error.status == 404:
                    continue
                raise
            if any(one.get("name") == self.plural for one in found.get("resources") or ()):
                return version
        return ""

    async def _follow(self, version: str) -> None:
        singular = self.plural.removesuffix("ies") + "y"
        policies = Informer(self._client, Resource(GROUP, version, self.plural, self._kind, namespaced=False))
        plural = f"{singular}bindings"
        bindings = Informer(self._client, Resource(GROUP, version, plural, f"{self._kind}Binding", namespaced=False))
        policies.add_handler(self.policies.policy_changed)
        bindings.add_handler(self.policies.binding_changed)
        for informer in (policies, bindings):
            informer.add_health_handler(lambda: self._note_state(policies, bindings))
        async with asyncio.TaskGroup() as group:
            group.create_task(policies.run())
            group.create_task(bindings.run())

    def _note_state(self, *informers: Informer) -> None:
        self.last_error = next((one.last_error for one in informers if one.last_error is not None), None)
        self.policies.known = self.policies.known or all(one.synced.is_set() for one in informers)


def validating_policies(client: Client) -> FollowedPolicies:
    """Return the cluster's ValidatingAdmissionPolicies."""
    return FollowedPolicies(client, VALIDATING, "validatingadmissionpolicies", ("v1",))


def mutating_policies(client: Client) -> FollowedPolicies:
    """Return the cluster's MutatingAdmissionPolicies, which Kubernetes 1.36 serves as v1."""
    return FollowedPolicies(client, MUTATING, "mutatingadmissionpolicies", ("v1", "v1beta1", "v1alpha1"))


@dataclass(slots=True)
class _Kind:
    """A kind of parameters that is followed."""

    namespaced: bool
    informer: Informer
    task: asyncio.Task[None]


class ManagementParams:
    """The Params of the management cluster. A kind is followed from its first use until no policy
    uses it."""

    def __init__(self, client: Client, used: Callable[[], frozenset[tuple[str, str]]]) -> None:
        self._client, self._used = client, used
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._opening = asyncio.Lock()

    async def source(self, api_version: str, kind: str) -> Source:
        """Return the objects of a kind. See Params."""
        name = f"{api_version}, Kind={kind}"
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                found = self._kinds.get((api_version, kind)) or await self._open(api_version, kind)
                await found.informer.synced.wait()
        except TimeoutError:
            known = self._kinds.get((api_version, kind))
            why = known.informer.last_error if known is not None else None
            raise NoParams(f"paramKind kind `{name}` not yet synced to use for admission{f': {why}' if why else ''}") from None
        except (ApiException, BadConfig) as error:
            raise NoParams(f"paramKind kind `{name}` not known: {error}") from None
        store = found.informer.store
        return Source(found.namespaced, lambda namespace: store.by_index("namespace", namespace))

    async def close(self) -> None:
        """End following."""
        kinds, self._kinds = self._kinds, {}
        for one in kinds.values():
            one.task.cancel()
        await asyncio.gather(*(one.task for one in kinds.values()), return_exceptions=True)

    async def _open(self, api_version: str, kind: str) -> _Kind:
        async with self._opening:
            if (api_version, kind) in self._kinds:
                return self._kinds[api_version, kind]
            for unused in self._kinds.keys() - self._used():
                self._kinds.pop(unused).task.cancel()
            resource = await self._resource(api_version, kind)
            informer = Informer(self._client, resource)
            found = self._kinds[api_version, kind] = _Kind(resource.namespaced, informer, asyncio.create_task(informer.run()))
            return found

    async def _resource(self, api_version: str, kind: str) -> Resource:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        found = await self._client.request("GET", path)
        for one in found.get("resources") or ():
            if one.get("kind") == kind and "/" not in one.get("name", "/"):
                return Resource(group, version, one["name"], kind, namespaced=bool(one.get("namespaced")))
        raise ApiException(404, "NotFound", "the management cluster does not serve it")


class Reviews:
    """The Authorization of the management cluster, by SubjectAccessReviews."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def decide(self, user: UserInfo, question: Question) -> Decision:
        """Return the decision. See Authorization."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec(user, question)}
        try:
            status = await ask(self._client, "/apis/authorization.k8s.io/v1/subjectaccessreviews", body, REVIEW_SECONDS)
        except (ApiException, BadConfig) as error:
            log.warning("a policy's SubjectAccessReview failed: %s", summary(error) if isinstance(error, ApiException) else error)
            return Decision(False, error="the management cluster gives no decision")
        allowed = status.get("allowed") is True and status.get("denied") is not True
        return Decision(allowed, str(status.get("reason") or ""), str(status.get("evaluationError") or ""))


def spec(user: UserInfo, question: Question) -> dict[str, Any]:
    """Return the spec of the review of a question."""
    if question.user != ("", ""):
        user = _service_account(*question.user)
    asked: dict[str, Any] = {"user": user.name, "uid": user.uid, "groups": list(user.groups)}
    asked["extra"] = {key: list(values) for key, values in user.extra.items()}
    asked = {key: value for key, value in asked.items() if value}
    if question.path:
        return {**asked, "nonResourceAttributes": {"path": question.path, "verb": question.verb}}
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    attributes: dict[str, Any] = {name: value for name in names if (value := getattr(question, name))}
    for name, selector in (("fieldSelector", question.field_selector), ("labelSelector", question.label_selector)):
        if selector:
            attributes[name] = {"rawSelector": selector}
    return {**asked, "resourceAttributes": {**attributes, "version": "*"}}


def _service_account(namespace: str, name: str) -> UserInfo:
    group = SERVICE_ACCOUNT.removesuffix(":") + "s"
    return UserInfo(f"{SERVICE_ACCOUNT}{namespace}:{name}", groups=(group, f"{group}:{namespace}", "system:authenticated"))
