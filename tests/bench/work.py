"""The kinds of work: a row of the table each. An object is about 3 KiB, as a Workload with its status is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.bench.target import Target

__all__ = ["NAMESPACE", "ROWS", "Row", "fill", "workload"]

NAMESPACE = "bench"
JSON = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
GZIP = {"Accept-Encoding": "gzip"}
COLLECTION = f"/namespaces/{NAMESPACE}/{WORKLOADS.plural}"


def workload(group: str, name: str, *, rare: bool) -> dict[str, Any]:
    """One object, about 3 KiB encoded."""
    annotations = {f"example.com/note-{i}": "x" * 120 for i in range(16)}
    return {
        "apiVersion": f"{group}/{WORKLOADS.version}",
        "kind": WORKLOADS.kind,
        "metadata": {"name": name, "labels": {"app": "bench", "rare": str(rare).lower()}, "annotations": annotations},
        "spec": {
            "className": "nowhere",
            "image": {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256", "format": "qcow2"},
            "requirements": {"cpuCount": 8, "ram": "64Gi"},
        },
    }


async def fill(target: Target, count: int) -> None:
    """Makes the objects, of which 1 % are labelled rare."""

    async def make(number: int) -> None:
        obj = workload(target.group, f"w-{number:06}", rare=number % 100 == 0)
        await target.request("POST", COLLECTION, body=orjson.dumps(obj), headers=JSON)

    await target.cpu_of(count, make)


@dataclass(frozen=True)
class Row:
    """One kind of work. `repeat`: how many requests are measured, given the number of objects. `goal`: the ratios asked for (direct,
    through the aggregator)."""

    name: str
    repeat: Callable[[int], int]
    work: Callable[[Target, int], Callable[[int], Awaitable[Any]]]
    goal: tuple[float, float]


def _get(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    return lambda number: target.request("GET", f"{COLLECTION}/w-{number * 7919 % objects:06}")


def _list(query: str = "", headers: dict[str, str] | None = None) -> Callable[[Target, int], Callable[[int], Awaitable[Any]]]:
    return lambda target, objects: lambda number: target.request("GET", f"{COLLECTION}{query}", headers=headers)


def _post(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    def make(number: int) -> Awaitable[bytes]:
        obj = workload(target.group, f"extra-{number:06}", rare=False)
        return target.request("POST", COLLECTION, body=orjson.dumps(obj), headers=JSON)

    return make


def _patch(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    def change(number: int) -> Awaitable[bytes]:
        body = orjson.dumps({"metadata": {"labels": {"touched": f"{target.name}-{number}"}}})
        return target.request("PATCH", f"{COLLECTION}/w-{number * 7919 % objects:06}", body=body, headers=MERGE)

    return change


def _apply(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    def change(number: int) -> Awaitable[bytes]:
        name = f"w-{number * 7919 % objects:06}"
        obj = workload(target.group, name, rare=False)
        obj["metadata"] = {"name": name, "labels": {"applied": f"{target.name}-{number}"}}
        return target.request("PATCH", f"{COLLECTION}/{name}?fieldManager=bench&force=true", body=orjson.dumps(obj), headers=APPLY)

    return change


ROWS = (
    Row("GET", lambda objects: 600, _get, (10, 2)),
    Row("LIST, plain", lambda objects: 12, _list(), (60, 10)),
    Row("LIST, gzip", lambda objects: 12, _list(headers=GZIP), (150, 50)),
    Row("LIST, as Table", lambda objects: 12, _list(headers=TABLE), (100, 50)),
    Row("LIST, 1 % by label", lambda objects: 60, _list("?labelSelector=rare%3Dtrue"), (50, 10)),
    Row("PATCH, merge", lambda objects: 300, _patch, (8, 4)),
    Row("PATCH, apply", lambda objects: 300, _apply, (8, 4)),
    Row("POST", lambda objects: 300, _post, (8, 4)),
)
