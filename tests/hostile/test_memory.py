"""Check that memory is freed: refused requests and dry runs leave nothing behind, however often
they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apiserver.handlers.request.body import LIMIT
from tests.hostile.inputs import DATA, JSON, JSON_PATCH, MEMBERS, STRATEGIC, YAML
from tests.hostile.measure import rising
from tests.hostile.test_bodies import KINDS, body, patches, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.judge import Request
    from tests.hostile.server import Client, Served

TIMES = 10
"""Requests of a batch."""


@pytest.fixture(scope="module")
def tenant(served: Served) -> Client:
    return served.client()


def workload(form: str, part: str, name: str) -> Callable[[int], Request]:
    return lambda size: request("Workload", form, body("Workload", part, MEMBERS[part][name](size), form))


def raw(form: str, content: Callable[[int], str]) -> Callable[[int], Request]:
    return lambda size: request("Workload", form, content(size).encode())


WORST: dict[str, tuple[Callable[[int], Request], int]] = {
    "a uid, tried": (workload("create", "metadata", "a uid"), LIMIT * 9 // 10),
    "an annotation, refused": (workload("create", "metadata", "an annotation"), LIMIT * 9 // 10),
    "an annotation, merged": (workload("merge", "metadata", "an annotation"), 200_000),
    "an annotation, applied": (workload("apply", "metadata", "an annotation"), 200_000),
    "a URL, refused": (workload("create", "spec", "a URL"), LIMIT * 9 // 10),
    "labels, refused": (workload("create", "metadata", "labels that are none"), 60_000),
    "unknown fields, warned of": (workload("create", "spec", "unknown fields"), 60_000),
    "values, too many": (workload("create", "spec", "lists of numbers"), LIMIT * 9 // 10),
    "doubled keys": (workload("create", "spec", "keys doubled all"), 60_000),
    "a number's digits": (workload("create", "spec", "a number's digits"), LIMIT * 9 // 10),
    "owners, applied": (workload("apply", "metadata", "owners"), 60_000),
    "open lists": (raw("create", JSON["open lists"]), LIMIT * 9 // 10),
    "a text without an end": (raw("create", JSON["a text without an end"]), LIMIT * 9 // 10),
    "open lists in YAML": (raw("create in YAML", YAML["open flow lists"]), 1_000_000),
    "a long text in YAML": (raw("create in YAML", YAML["a long text"]), 1_000_000),
    "aliases of aliases": (raw("create in YAML", YAML["aliases of aliases"]), 100_000),
    "block lists in YAML": (raw("apply in YAML", YAML["block lists"]), 1_000_000),
    "copies of a large value": (patches("Workload", JSON_PATCH["copies of a large value"], "application/json-patch+json"), 1_000_000),
    "a strategic patch": (patches("Secret", STRATEGIC["keys"], "application/strategic-merge-patch+json"), 60_000),
    "a secret's value": (
        lambda size: request(
            "Secret", "create", f'{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"new"}},{DATA["a value"](size)}}}'.encode()
        ),
        900_000,
    ),
    "a body that is too large": (workload("create", "metadata", "an annotation"), LIMIT * 2),
}


@pytest.mark.parametrize("name", WORST)
def test_nothing_is_left_behind(served: Served, tenant: Client, name: str) -> None:
    make, size = WORST[name]
    one = make(size)

    def batch() -> None:
        for _ in range(TIMES):
            answer, _ = served.cost(tenant, one.method, one.path, one.body, one.headers)
            assert answer.status < 500

    grown = rising(batch)
    most = max(TIMES * size // 4, 1_000_000)
    assert grown < most, f"{TIMES} requests of {size} bytes leave {grown} bytes behind, each time"


def test_texts_that_are_all_different_are_not_kept(served: Served, tenant: Client) -> None:
    size, numbers = 800_000, iter(range(10_000))

    def batch() -> None:
        for _ in range(TIMES):
            members = f'"uid":"{next(numbers):08d}{"u" * size}"'
            one = request("Workload", "apply", body("Workload", "metadata", members, "apply"))
            served.cost(tenant, one.method, one.path, one.body, one.headers)

    assert rising(batch) < TIMES * size // 4


def test_objects_that_are_deleted_are_not_kept(served: Served, tenant: Client) -> None:
    """Store and delete large objects. They stay in the history for a while, whose bytes are
    bounded, so a persistent tenant does not make it grow."""
    collection = KINDS["Secret"][0]
    value = DATA["a value"](600_000)

    def batch() -> None:
        for number in range(TIMES):
            content = f'{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"large-{number}"}},{value}}}'.encode()
            assert tenant.send("POST", collection, content, {"Content-Type": "application/json"}).status == 201
        for number in range(TIMES):
            assert tenant.send("DELETE", f"{collection}/large-{number}").status == 200

    for _ in range(4):  # until history has reached its bound
        batch()
    assert rising(batch) < TIMES * 600_000 // 4
