"""Apply an audit.k8s.io/v1 Policy, which determines how much of each request is recorded.

The first matching rule decides. A request that matches no rule is not recorded. The file is read
strictly, because a misspelt field would silently record too little.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from apiserver.apis.wording import sentence
from apiserver.handlers.request.call import RequestInfo
from apiserver.registry.generic.context import UserInfo

Level = Literal["None", "Metadata", "Request", "RequestResponse"]
Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
Url = Annotated[str, Field(pattern=r"^(\*|/[^*]*\*?)$")]
LEVELS = ("None", "Metadata", "Request", "RequestResponse")
"""The levels, from nothing to everything."""


class BadPolicy(Exception):
    """The file is not a policy. The message says what is wrong with it."""


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class Resources(_Model):
    """GroupResources: `*` is any group or resource, `x/*` any subresource of x, `*/y` the
    subresource y of any resource."""

    group: str = ""
    resources: list[str] = []
    resource_names: list[str] = []

    def match(self, info: RequestInfo) -> bool:
        """Return whether the request is about one of these resources."""
        if self.group not in ("*", info.group):
            return False
        if not self.resources:
            return True
        if self.resource_names and info.name not in self.resource_names:
            return False
        whole = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        wanted = {"*", whole, f"{info.resource}/*"} | ({f"*/{info.subresource}"} if info.subresource else set())
        return not wanted.isdisjoint(self.resources)


class Rule(_Model):
    """PolicyRule. An empty list does not restrict the rule."""

    level: Level
    users: list[str] = []
    user_groups: list[str] = []
    verbs: list[str] = []
    resources: list[Resources] = []
    namespaces: list[str] = []
    non_resource_urls: list[Url] = Field(default=[], alias="nonResourceURLs")
    omit_stages: list[Stage] = []
    omit_managed_fields: bool | None = None

    def match(self, user: UserInfo | None, info: RequestInfo) -> bool:
        """Return whether the rule matches this request of this user (None: not authenticated)."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.user_groups and (user is None or set(self.user_groups).isdisjoint(user.groups)):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return info.is_resource and self._about(info)
        if self.non_resource_urls:
            return not info.is_resource and any(_is_path(info.path, url) for url in self.non_resource_urls)
        return True

    def _about(self, info: RequestInfo) -> bool:
        if self.namespaces and info.namespace not in self.namespaces:
            return False
        return not self.resources or any(one.match(info) for one in self.resources)


class Recording(_Model):
    """The decision about one request. `level` is an index of LEVELS."""

    level: int
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


class Policy(_Model):
    """The whole policy."""

    api_version: Literal["audit.k8s.io/v1"]
    kind: Literal["Policy"]
    metadata: dict[str, Any] = {}
    rules: list[Rule] = Field(min_length=1)
    omit_stages: list[Stage] = []
    omit_managed_fields: bool = False

    def recording(self, user: UserInfo | None, info: RequestInfo) -> Recording | None:
        """Return how to record the request, or None if it is not recorded."""
        rule = next((rule for rule in self.rules if rule.match(user, info)), None)
        if rule is None or rule.level == "None":
            return None
        omit = self.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
        stages = frozenset[str]([*self.omit_stages, *rule.omit_stages])
        return Recording.model_construct(level=LEVELS.index(rule.level), omit_stages=stages, omit_managed_fields=omit)


def read_policy(path: Path) -> Policy:
    """Return the policy in a YAML or JSON file. Raises BadPolicy or OSError."""
    try:
        policy = Policy.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, UnicodeError):
        raise BadPolicy("it is not YAML") from None
    except ValidationError as error:
        raise BadPolicy("; ".join(sentence(detail) for detail in error.errors(include_url=False))) from None
    for index, rule in enumerate(policy.rules):
        if rule.non_resource_urls and (rule.resources or rule.namespaces):
            raise BadPolicy(f"rules[{index}]: a rule is either about resources or about nonResourceURLs")
        if any(one.resource_names and not one.resources for one in rule.resources):
            raise BadPolicy(f"rules[{index}].resources: resourceNames need at least one resource")
    return policy


def _is_path(path: str, url: str) -> bool:
    return url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))
