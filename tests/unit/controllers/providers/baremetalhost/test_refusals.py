"""Check that tenants read admission's refusals in terms of their own fields, without admission's
own message."""

from __future__ import annotations

import pytest

from apiserver.client.errors import ApiException, Unreachable
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.refusals import refusal

WEBHOOK = 'admission webhook "baremetalhost.metal3.io" denied the request: BMC driver canary does not support this'
PATCH = {
    "metadata": {"annotations": {"reboot.metal3.io/x": "now", names.PASSED: "[]"}},
    "spec": {"image": {"url": "canary"}, "online": True},
}


@pytest.mark.parametrize(
    "error",
    [
        ApiException(403, "Forbidden", WEBHOOK),
        ApiException(400, "BadRequest", WEBHOOK),
        ApiException(422, "Invalid", 'BareMetalHost.metal3.io "canary" is invalid: spec.image.format: Unsupported value'),
    ],
)
def test_the_tenants_fields_are_named(error: ApiException) -> None:
    reported = refusal(error, PATCH)
    assert reported is not None
    assert "spec.image, spec.online, reboot.metal3.io/x" in reported
    assert "canary" not in reported
    assert names.PASSED not in reported


@pytest.mark.parametrize(
    "error",
    [
        ApiException(403, "Forbidden", 'baremetalhosts.metal3.io "h" is forbidden: User "x" cannot patch resource'),
        ApiException(409, "Conflict", "the object has been modified"),
        ApiException(500, "InternalError", f"failed calling webhook: {WEBHOOK}"),
        Unreachable("refused"),
    ],
)
def test_trouble_is_no_refusal(error: ApiException) -> None:
    assert refusal(error, PATCH) is None
