"""Parse Mutating- and ValidatingWebhookConfigurations when they change, in the order of calls."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apiserver.admission.policies.definitions import Named, conditions_of
from apiserver.admission.rules import Rule, label_selector
from apiserver.registry.generic.selectors import LabelSelector

log = logging.getLogger(__name__)

SECONDS = 10
"""The timeout in seconds of a webhook whose configuration names none."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration, with defaults.

    url: the https URL. ca: the authority in PEM, "" for the system's. timeout: seconds.
    fails_closed: the failurePolicy. dry_run: whether it may be called for dry-run writes.
    reinvoked: whether its reinvocationPolicy is IfNeeded. conditions: the matchConditions, compiled.
    versions: of AdmissionReview, in the webhook's order of preference. broken: the reason why it
    cannot be called, "" if it can."""

    configuration: str
    name: str
    uid: str
    url: str = ""
    ca: str = ""
    rules: tuple[Rule, ...] = ()
    timeout: float = SECONDS
    fails_closed: bool = True
    dry_run: bool = False
    reinvoked: bool = False
    versions: tuple[str, ...] = ("v1",)
    namespaces: LabelSelector = field(default_factory=LabelSelector)
    objects: LabelSelector = field(default_factory=LabelSelector)
    conditions: Named = ()
    broken: str = ""


class Configurations:
    """All configurations of one kind, updated by `changed`.

    `known` is true after the first complete list."""

    def __init__(self) -> None:
        self.known = False
        self.webhooks: tuple[Webhook, ...] = ()
        self._by_name: dict[str, tuple[Webhook, ...]] = {}

    def changed(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Process a configuration that is new, changed, or deleted (`new` is None)."""
        name = (new or old or {})["metadata"]["name"]
        if new is None:
            self._by_name.pop(name, None)
        else:
            self._by_name[name] = webhooks_of(new)
        self.webhooks = tuple(webhook for name in sorted(self._by_name) for webhook in self._by_name[name])


def webhooks_of(configuration: Mapping[str, Any]) -> tuple[Webhook, ...]:
    """Return the webhooks of a configuration, in its order.

    kube-apiserver has validated it. A webhook that cannot be read nevertheless is `broken`, and
    its failurePolicy decides every write."""
    name = configuration["metadata"]["name"]
    return tuple(_webhook(name, index, webhook) for index, webhook in enumerate(configuration.get("webhooks") or ()))


def _webhook(configuration: str, index: int, given: Mapping[str, Any]) -> Webhook:
    name = given["name"]
    uid, fails_closed = f"{configuration}/{name}/{index}", given.get("failurePolicy") != "Ignore"
    try:
        rules = tuple(map(Rule.parse, given.get("rules") or ()))
        namespaces, objects = label_selector(given.get("namespaceSelector")), label_selector(given.get("objectSelector"))
        conditions = conditions_of(given.get("matchConditions"))
    except (KeyError, TypeError, AttributeError) as error:
        log.error("the rules or selectors of webhook %s cannot be read: %r", uid, error)
        everything = Rule(frozenset("*"), frozenset("*"), frozenset("*"), (("*", "*"),))
        return Webhook(configuration, name, uid, rules=(everything,), fails_closed=fails_closed, broken="its rules cannot be read")
    url, ca, broken = _client(given.get("clientConfig") or {})
    return Webhook(
        configuration,
        name,
        uid,
        url,
        ca,
        rules,
        timeout=given.get("timeoutSeconds") or SECONDS,
        fails_closed=fails_closed,
        dry_run=given.get("sideEffects") in ("None", "NoneOnDryRun"),
        reinvoked=given.get("reinvocationPolicy") == "IfNeeded",
        versions=tuple(given.get("admissionReviewVersions") or ()),
        namespaces=namespaces,
        objects=objects,
        conditions=conditions,
        broken=broken,
    )


def _client(config: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the URL, the authority, and the reason why they are unusable ("" if they are not).

    A service is reached by its name in the cluster's DNS, for which its certificate is issued."""
    try:
        ca = base64.b64decode(config.get("caBundle") or "", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return "", "", "its caBundle is not PEM in base64"
    service = config.get("service")
    if service:
        path = (service.get("path") or "").lstrip("/")
        return f"https://{service['name']}.{service['namespace']}.svc:{service.get('port') or 443}/{path}", ca, ""
    url = config.get("url") or ""
    return url, ca, "" if url.startswith("https://") else "its clientConfig names neither a service nor an https URL"
