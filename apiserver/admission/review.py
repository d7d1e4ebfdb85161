"""Build AdmissionReviews (admission.k8s.io), and interpret the answers of webhooks.

v1 is checked strictly. As in kube-apiserver, v1beta1 lacks the checks that it never had.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from apiserver.apis.status import ApiError
from apiserver.registry.generic.attributes import Attributes

GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")


class BadAnswer(Exception):
    """The answer cannot be used. The message gives the reason for the failed call."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a webhook.

    `patch` has the operations of a JSON patch. `result` is the Status of a refusal."""

    allowed: bool
    patch: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)


def version_of(accepted: Sequence[str]) -> str:
    """Return the first version that both sides support. Raises BadAnswer."""
    for version in accepted:
        if version in VERSIONS:
            return version
    raise BadAnswer("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def question(version: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the AdmissionReview to send."""
    return {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


def request_of(uid: str, attributes: Attributes) -> dict[str, Any]:
    """Return AdmissionReview.request."""
    resource, user = attributes.resource, attributes.context.user
    kind = dict(zip(("group", "version", "kind"), attributes.kind, strict=True))
    where = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    asked: dict[str, Any] = {"uid": uid, "kind": kind, "resource": where, "requestKind": kind, "requestResource": where}
    if attributes.subresource:
        asked |= {"subResource": attributes.subresource, "requestSubResource": attributes.subresource}
    if attributes.name:
        asked["name"] = attributes.name
    if attributes.namespace:
        asked["namespace"] = attributes.namespace
    who = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": {k: list(v) for k, v in user.extra.items()}}
    return {
        **asked,
        "operation": attributes.operation,
        "userInfo": {key: value for key, value in who.items() if value},
        "object": attributes.new,
        "oldObject": attributes.old,
        "dryRun": attributes.context.dry_run,
        "options": attributes.context.options or None,
    }


def verdict(uid: str, version: str, body: bytes, *, mutating: bool) -> Verdict:
    """Return the verdict in the body of a webhook's answer. Raises BadAnswer."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(f"the answer is not JSON: {error}") from None
    response = review.get("response") if isinstance(review, dict) else None
    if not isinstance(response, dict):
        raise BadAnswer("webhook response was absent")
    if version == "v1":
        _check_identity(uid, review, response)
        _check_patch(response, mutating=mutating)
    result, warnings, annotations = (response.get(name) for name in ("status", "warnings", "auditAnnotations"))
    return Verdict(
        allowed=response.get("allowed") is True,
        patch=_operations(response.get("patch")) if mutating and response.get("patch") else [],
        result=result if isinstance(result, dict) else {},
        warnings=tuple(str(text) for text in warnings) if isinstance(warnings, list) else (),
        annotations={str(k): str(v) for k, v in annotations.items()} if isinstance(annotations, dict) else {},
    )


def denial(webhook: str, result: dict[str, Any]) -> ApiError:
    """Return the error for a webhook's refusal, with its own code and reason.

    No refusal can become a success (webhook/errors/statuserror.go)."""
    code, reason, message = result.get("code"), str(result.get("reason") or ""), str(result.get("message") or "")
    said = f": {message or reason}" if message or reason else " without explanation"
    details = result.get("details")
    error = ApiError(
        code if isinstance(code, int) and 400 <= code <= 599 else 400,
        reason,
        f'admission webhook "{webhook}" denied the request{said}',
        details=details if isinstance(details, dict) else None,
    )
    return error


def _check_identity(uid: str, review: dict[str, Any], response: dict[str, Any]) -> None:
    if response.get("uid") != uid:
        raise BadAnswer(f'expected response.uid="{uid}", got "{str(response.get("uid") or "")[:64]}"')
    found = (str(review.get("apiVersion"))[:64], str(review.get("kind"))[:64])
    if found != (f"{GROUP}/v1", "AdmissionReview"):
        raise BadAnswer(f"expected webhook response of {GROUP}/v1, Kind=AdmissionReview, got {found[0]}, Kind={found[1]}")


def _check_patch(response: dict[str, Any], *, mutating: bool) -> None:
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if patch:
            raise BadAnswer("validating webhook may not return response.patch")
        if kind is not None:
            raise BadAnswer("validating webhook may not return response.patchType")
    elif patch and kind is None:
        raise BadAnswer("webhook returned response.patch but not response.patchType")
    elif kind is not None and not patch:
        raise BadAnswer("webhook returned response.patchType but not response.patch")
    elif kind not in (None, "JSONPatch"):
        raise BadAnswer(f'unsupported patch type "{str(kind)[:64]}"')


def _operations(patch: Any) -> list[dict[str, Any]]:
    try:
        decoded = orjson.loads(base64.b64decode(patch, validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise BadAnswer("received undecodable patch in webhook response: it must be a JSON patch in base64") from None
    if not isinstance(decoded, list):
        raise BadAnswer("received undecodable patch in webhook response: a JSON patch is a list of operations")
    return decoded
