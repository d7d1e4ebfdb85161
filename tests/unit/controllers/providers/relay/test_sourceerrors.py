"""Check the reports of errors that keep the relay from following another cluster: each says what to
do."""

from __future__ import annotations

import pytest

from apiserver.client.errors import ApiException, Unreachable
from controllers.providers.relay.sourceerrors import explain, loop


@pytest.mark.parametrize(
    ("error", "reason", "word"),
    [
        (Unreachable("refused"), "Unreachable", "network"),
        (ApiException(401, "Unauthorized", "x"), "Unauthorized", "put a valid kubeconfig into the secret"),
        (ApiException(403, "Forbidden", "x"), "Forbidden", "rights in namespace team-a"),
        (ApiException(404, "NotFound", "x"), "NoBareMetalHosts", "parameters.viewGroup"),
        (ApiException(429, "TooManyRequests", "x"), "TooManyRequests", "asks to wait"),
        (ApiException(503, "ServiceUnavailable", "x"), "Failing", "tried again"),
        (ValueError("x"), "BadKubeconfig", "kubeconfig"),
    ],
)
def test_problems_tell_the_owner_what_to_do(error: Exception, reason: str, word: str) -> None:
    problem = explain(error, "team-a")
    assert problem.reason == reason
    assert word in problem.message


def test_a_loop_is_counted() -> None:
    problem = loop(3, "team-a")
    assert problem.reason == "Loop"
    assert "3 hosts in namespace team-a" in problem.message
    assert "parameters.namespace" in problem.message
