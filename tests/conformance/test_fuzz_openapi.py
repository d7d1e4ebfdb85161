"""Run Schemathesis over our OpenAPI v3 documents, with requests that follow the schemas and that
break them. No failure is the server's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from tests.conformance.client import Answer
from tests.conformance.fuzzing import expect_no_failure, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.realcluster.pki import WrittenPair
    from tests.conformance.client import ApiServer

DOCUMENTS = ("apis/workload.metal3.io/v1alpha1", "apis/metal3.io/v1alpha1")
PLACE = {"namespace": "team", "name": "one"}


@dataclass(frozen=True)
class Target:
    """The server to which Schemathesis' requests are sent, and the client's credentials."""

    server: ApiServer
    authority: Path
    pair: WrittenPair

    def send(self, case: schemathesis.Case[Any]) -> Answer:
        """Send the case by Schemathesis' own client."""
        certificate = str(self.pair.certificate), str(self.pair.key)
        # The authority is passed with each request: requests would otherwise prefer one that the
        # environment names.
        response = case.call(base_url=f"https://127.0.0.1:{self.server.port}", verify=str(self.authority), cert=certificate, timeout=30)
        return Answer(response.status_code, {"content-type": [response.headers.get("content-type", [""])[0]]}, response.content)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serving(tmp_path_factory.mktemp("openapi")) as (server, authority, pair):
        yield Target(server, authority, pair)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", DOCUMENTS)
def test_no_request_of_the_document_makes_the_server_fail(target: Target, path: str) -> None:
    answer = target.server.send("GET", f"/openapi/v3/{path}", None, {})
    schema = schemathesis.openapi.from_dict(json.loads(answer.body))
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert operations, "the document has no operations"

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of([operation.as_strategy() for operation in operations]))
    def ask(case: Any) -> None:
        _aim(case)
        expect_no_failure(target.send(case))

    ask()


def _aim(case: Any) -> None:
    """Aim the request at existing objects, and do not let it wait for events: random names only
    lead to 404s."""
    case.path_parameters = {name: PLACE[name] for name in case.path_parameters or {} if name in PLACE}
    if case.query:
        case.query = {name: value for name, value in case.query.items() if name not in ("watch", "resourceVersion")}
    if isinstance(case.body, dict) and isinstance(case.body.get("metadata"), dict):
        case.body["metadata"]["name"] = PLACE["name"]
