"""Authorize in dev mode by fixed rules in RBAC's terms, which equal those of manifests/.

This is not RBAC itself: there are no objects, no resource names, and no non-resource rules except
for discovery, which all users may read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apiserver.filters.authorization import Decision
from apiserver.handlers.request.call import RequestInfo
from apiserver.registry.generic.context import UserInfo

EVERYBODY = "system:authenticated"
CONTROLLERS = "system:metal3-workloads:controllers"
PROVIDER = "system:metal3-workloads:provider"
OPERATOR = "system:metal3:baremetal-operator"
TENANT_PREFIX = "metal3-workloads:tenant:"
"""The prefix of a tenant's group, followed by the name of its namespace."""

DISCOVERY = ("/api", "/apis", "/openapi", "/version")
WRITE = ("create", "update", "patch", "delete", "deletecollection")
READ = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows the verbs on the resources ("hosts", "hosts/status") of the groups.

    `namespace` restricts the rule to one namespace; "" means all."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    namespace: str = ""

    def allows(self, info: RequestInfo, *, own_namespace: str = "") -> bool:
        """Return whether the rule allows the request.

        `own_namespace` is the only namespace in which the subject has the rule."""
        resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        where = own_namespace or self.namespace
        return info.group in self.groups and resource in self.resources and info.verb in self.verbs and where in ("", info.namespace)


WORKLOAD, METAL3, CORE = ("workload.metal3.io",), ("metal3.io",), ("",)

# See manifests/tenant/rbac.yaml and the roles that it binds (manifests/base/tenant-roles.yaml).
TENANT = (
    Rule(WORKLOAD, ("workloads", "workloadsets"), (*READ, *WRITE)),
    Rule(WORKLOAD, ("workloads/status", "workloadsets/status"), ("get",)),
    Rule(WORKLOAD, ("workloadsets/scale",), ("get", "update", "patch")),
    Rule(WORKLOAD, ("reservations",), READ),
    Rule(METAL3, ("baremetalhosts",), (*READ, "update", "patch", "delete", "deletecollection")),
    Rule(METAL3, ("baremetalhosts/status",), ("get",)),
    Rule(METAL3, ("hardwaredata",), READ),
    Rule(CORE, ("secrets", "configmaps"), (*READ, *WRITE)),
    Rule(CORE, ("resourcequotas",), READ),
    Rule(CORE, ("events",), (*READ, "create", "update", "patch", "delete")),
    Rule(CORE, ("namespaces",), ("get",)),
)
ANYBODY = (Rule(WORKLOAD, ("workloadclasses",), READ),)
# See manifests/base/controllers-rbac.yaml.
MANAGEMENT_CONTROLLERS = (
    Rule(WORKLOAD, ("workloads", "workloadclasses", "hosts", "workloadsets", "usagerecords", "reservations"), READ),
    Rule(WORKLOAD, ("workloads",), ("create", "update", "patch", "delete")),
    Rule(WORKLOAD, ("hosts",), ("create", "update", "patch", "delete")),
    Rule(WORKLOAD, ("workloadclasses",), ("patch",)),
    Rule(
        WORKLOAD,
        ("workloads/status", "workloadclasses/status", "hosts/status", "workloadsets/status", "reservations/status"),
        ("get", "update", "patch"),
    ),
    Rule(WORKLOAD, ("workloads/binding",), ("create",)),
    Rule(WORKLOAD, ("workloadclasses/private",), ("get",)),
    Rule(WORKLOAD, ("hosts/offers",), ("update",)),
    Rule(METAL3, ("baremetalhosts",), (*READ, "patch")),
    Rule(CORE, ("namespaces",), READ),
    # As if metal3-workloads-secrets were bound in every namespace
    # (manifests/components/all-secrets).
    Rule(CORE, ("secrets",), ("get", "watch")),
    Rule(CORE, ("events",), ("create", "update", "patch")),
    Rule(("batch",), ("cronjobs",), ("list",), "metal3-workloads-system"),
)
# See manifests/hardware/rbac.yaml.
HARDWARE_PROVIDER = (
    Rule(METAL3, ("baremetalhosts",), (*READ, "update", "patch"), "metal3"),
    Rule(METAL3, ("hardwaredata",), READ, "metal3"),
    Rule(CORE, ("secrets",), ("get", "list", "create", "update", "patch", "delete"), "metal3"),
)
HARDWARE_OPERATOR = (
    Rule(METAL3, ("baremetalhosts",), (*READ, "update", "patch")),
    Rule(METAL3, ("baremetalhosts/status",), ("get", "update", "patch")),
    Rule(METAL3, ("hardwaredata",), ("get", "create", "update", "patch", "delete")),
    Rule(CORE, ("secrets",), READ),
    Rule(CORE, ("events",), ("create", "update", "patch")),
)


class StaticPolicy:
    """The Authorizer by the user's groups. `tenants` are the rules of a tenant in its namespace."""

    def __init__(self, by_group: Mapping[str, Sequence[Rule]], tenants: Sequence[Rule] = ()) -> None:
        self._by_group, self._tenants = dict(by_group), tuple(tenants)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Return the decision. See apiserver.filters.authorization.Authorizer."""
        if not info.is_resource:
            discovery = info.verb in ("get", "head") and any(info.path == path or info.path.startswith(f"{path}/") for path in DISCOVERY)
            return Decision(discovery)
        for group in user.groups:
            if any(rule.allows(info) for rule in self._by_group.get(group, ())):
                return Decision(True)
            namespace = group.removeprefix(TENANT_PREFIX)
            if namespace != group and namespace and any(rule.allows(info, own_namespace=namespace) for rule in self._tenants):
                return Decision(True)
        return Decision(False)


def management_policy() -> StaticPolicy:
    """Return the rules of the management endpoint."""
    return StaticPolicy({EVERYBODY: ANYBODY, CONTROLLERS: MANAGEMENT_CONTROLLERS}, TENANT)


def hardware_policy() -> StaticPolicy:
    """Return the rules of the hardware endpoint. Tenants have none."""
    return StaticPolicy({PROVIDER: HARDWARE_PROVIDER, OPERATOR: HARDWARE_OPERATOR})
