"""Repeat requests that once stopped a server, or blocked all of its users. Each test is named after
the effect of its request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.hostile.judge import Request, judge
from tests.hostile.measure import rising
from tests.hostile.test_bodies import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.server import Answer, Client, Served

COLLECTION = f"{KINDS['Workload'][0]}"
DRY = f"{COLLECTION}?dryRun=All"
KIND = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload"}
MEDIA = ("application/json", "application/yaml", "text/plain", "application/apply-patch+yaml")
ANSWER = 64 * 1024
"""Bytes of an answer that says what is wrong."""


@pytest.fixture
def tenant(served: Served) -> Client:
    return served.client()


@pytest.fixture
def neighbour(served: Served) -> Client:
    return served.client("bob", "metal3-workloads:tenant:tenant-b")


def post(client: Client, body: str, media: str = "application/json") -> Answer:
    return client.send("POST", DRY, body.encode(), {"Content-Type": media})


def lives(neighbour: Client) -> bool:
    return neighbour.send("GET", COLLECTION.replace("tenant-a", "tenant-b")).status == 200


@pytest.mark.parametrize("media", MEDIA)
@pytest.mark.parametrize("levels", [30_000, 60_000, 100_000])
def test_depth_does_not_overflow_the_stack_of_the_audit_log(
    served: Served, tenant: Client, neighbour: Client, levels: int, media: str
) -> None:
    for left, right in (('{"a":', "}"), ("[", "]"), ("- ", "")):
        assert 400 <= post(tenant, left * levels + "1" + right * levels, media).status < 500
    served._settle()
    assert lives(neighbour)


@pytest.mark.parametrize("media", MEDIA)
def test_aliases_are_not_multiplied_in_the_audit_log(served: Served, tenant: Client, media: str) -> None:
    lines = ["l0: &l0 [a,a,a,a,a,a,a,a,a,a]", *(f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))]
    before = served.server.audit_path.stat().st_size
    assert 400 <= post(tenant, "\n".join(lines), media).status < 500
    served._settle()
    assert served.server.audit_path.stat().st_size - before < 16 * 1024


@pytest.mark.parametrize("validation", ["Warn", "Strict", "Ignore"])
def test_doubled_keys_are_counted_in_linear_time(served: Served, tenant: Client, validation: str) -> None:
    def make(size: int) -> Request:
        keys = ",".join(f'"k{number:05d}":1' for number in range(size))
        body = f'{{"metadata":{{"name":"x"}},"spec":{{{keys},"k00000":1}}}}'
        return Request("POST", f"{DRY}&fieldValidation={validation}", body.encode(), {"Content-Type": "application/json"})

    judge(served, tenant, make, [1250 << by for by in range(6)])


@pytest.mark.parametrize("form", ["create", "apply", "merge"])
def test_owners_are_compared_in_linear_time(served: Served, tenant: Client, form: str) -> None:
    method, path, media = {
        "create": ("POST", DRY, "application/json"),
        "apply": ("PATCH", f"{COLLECTION}/there?dryRun=All&fieldManager=m", "application/apply-patch+yaml"),
        "merge": ("PATCH", f"{COLLECTION}/there?dryRun=All", "application/merge-patch+json"),
    }[form]

    def make(size: int) -> Request:
        owners = [{"apiVersion": "v1", "kind": "Pod", "name": f"p{number}", "uid": f"u{number}"} for number in range(size)]
        body = {**KIND, "metadata": {"name": "there", "ownerReferences": owners}, "spec": {"online": False}}
        return Request(method, path, json.dumps(body).encode(), {"Content-Type": media})

    judge(served, tenant, make, [312 << by for by in range(6)])


def test_yaml_does_not_hold_the_loop(served: Served, tenant: Client) -> None:
    def make(size: int) -> Request:
        return Request("POST", DRY, f"a: [{','.join(['1'] * size)}]".encode(), {"Content-Type": "application/yaml"})

    judge(served, tenant, make, [700 << by for by in range(11)])


def test_expressions_that_are_too_many_are_not_stored(tenant: Client) -> None:
    expressions = [{"key": f"k{number}", "operator": "NotIn", "values": ["v"]} for number in range(45_000)]
    body = {**KIND, "metadata": {"name": "x"}, "spec": {"hostSelector": {"matchExpressions": expressions[:1000]}}}
    assert post(tenant, json.dumps(body)).status == 422
    body["spec"] = {"hostSelector": {"matchExpressions": expressions[:18_000]}}
    assert post(tenant, json.dumps(body)).status in (413, 422)


@pytest.mark.parametrize(
    ("spec", "metadata"),
    [
        ({"image": {"url": "https://images.example.com/" + "a" * 800_000, "checksum": "0" * 32}}, {}),
        ({}, {"labels": {f"k{number}": "v" for number in range(1000)}}),
        ({}, {"finalizers": [f"example.com/f{number}" for number in range(1000)]}),
        ({}, {"annotations": {"a": "v" * 1_100_000}}),
    ],
    ids=["a URL", "labels", "finalizers", "annotations"],
)
def test_objects_are_small(tenant: Client, spec: dict[str, object], metadata: dict[str, object]) -> None:
    """Check that objects are small. A large one multiplies: with each revision of history, in each
    watch, and in the owner's real host."""
    answer = post(tenant, json.dumps({**KIND, "metadata": {"name": "x", **metadata}, "spec": spec}))
    assert answer.status in (413, 422)
    assert len(answer.body) < ANSWER


@pytest.mark.parametrize("number", [1000, 5900, 100_000])
def test_answers_do_not_name_every_mistake(tenant: Client, number: int) -> None:
    labels = {f"k {one}!": "v !" for one in range(number)}
    for metadata, spec in (({"labels": labels}, {}), ({}, {"hostSelector": {"matchLabels": dict.fromkeys(labels, 1)}})):
        answer = post(tenant, json.dumps({**KIND, "metadata": {"name": "x", **metadata}, "spec": spec}))
        assert answer.status in (400, 413, 422)
        assert len(answer.body) < ANSWER
        assert len((json.loads(answer.body).get("details") or {}).get("causes") or ()) <= 51


def test_refusals_of_a_megabyte_leave_nothing_behind(tenant: Client) -> None:
    body = json.dumps({**KIND, "metadata": {"name": "x"}, "spec": {"image": {"url": "u" * 1_000_000, "checksum": "a"}}})

    def batch() -> None:
        for _ in range(15):
            assert post(tenant, body).status == 422

    assert rising(batch) < 5_000_000


FORMS = {
    "JSON": ("", {}),
    "pretty JSON": ("?pretty=true", {}),
    "YAML": ("", {"Accept": "application/yaml"}),
    "a table": ("", {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
    "a pretty table": ("?pretty=true&includeObject=Object", {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
    "metadata": ("", {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}),
    "metadata in YAML": ("", {"Accept": "application/yaml;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}),
}


@pytest.fixture(scope="module")
def many_large(served: Served) -> Iterator[None]:
    """Store 60 objects of a quarter of a megabyte."""
    client, media = served.client(), {"Content-Type": "application/json"}
    metadata = {"annotations": {f"k{number:04d}": "v" * 240 for number in range(1000)}, "labels": {"many": "large"}}
    for number in range(60):
        body = {**KIND, "metadata": {"name": f"large-{number}", **metadata}, "spec": {"className": "metal", "online": False}}
        assert client.send("POST", COLLECTION, json.dumps(body).encode(), media).status == 201
    yield
    assert client.send("DELETE", f"{COLLECTION}?labelSelector=many").status == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.usefixtures("many_large")
def test_large_lists_do_not_hold_the_loop(served: Served, tenant: Client, method: str, form: str) -> None:
    query, headers = FORMS[form]
    assert judge(served, tenant, lambda _: Request(method, COLLECTION + query, None, headers), [1]) == [200]


@pytest.mark.usefixtures("many_large")
def test_a_dry_run_of_many_deletions_does_not_hold_the_loop(served: Served, tenant: Client) -> None:
    assert judge(served, tenant, lambda _: Request("DELETE", f"{COLLECTION}?dryRun=All"), [1]) == [200]
