"""Define the kinds of work, each of which is a row of the table.

An object is about 3 KiB, like a Workload with its status, in one of 50 namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.workload import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.bench.target import Target

NAMESPACES = 50
JSON = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
GZIP = {"Accept-Encoding": "gzip"}
ALL = f"/{WORKLOADS.plural}"
NEW = 1_000_000
"""The first number of objects that a measurement creates."""


def namespace(number: int) -> str:
    """Return the namespace of the object with this number."""
    return f"bench-{number % NAMESPACES:02}"


def collection(number: int) -> str:
    """Return the path of the objects in the object's namespace."""
    return f"/namespaces/{namespace(number)}/{WORKLOADS.plural}"


def place(number: int) -> str:
    """Return the path of the object."""
    return f"{collection(number)}/w-{number:06}"


def workload(group: str, name: str, *, rare: bool) -> dict[str, Any]:
    """Return one object, about 3 KiB encoded; a third of it is metadata."""
    racks = [f"rack-{number:03}.example.com" for number in range(64)]
    return {
        "apiVersion": f"{group}/{WORKLOADS.version}",
        "kind": WORKLOADS.kind,
        "metadata": {
            "name": name,
            "labels": {"app": "bench", "rare": str(rare).lower()},
            "annotations": {f"example.com/note-{i}": "x" * 120 for i in range(3)},
        },
        "spec": {
            "className": "nowhere",
            "image": {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256", "format": "qcow2"},
            "requirements": {"cpuCount": 8, "ram": "64Gi"},
            "hostSelector": {"matchExpressions": [{"key": "rack", "operator": "In", "values": racks}]},
        },
    }


async def fill(target: Target, count: int) -> None:
    """Create the objects, of which 1 % are labelled rare."""

    async def make(number: int) -> None:
        obj = workload(target.group, f"w-{number:06}", rare=(number + number // NAMESPACES) % 100 == 0)
        await target.request("POST", collection(number), body=orjson.dumps(obj), headers=JSON)

    await target.cpu_of(range(count), make)


@dataclass(frozen=True)
class Row:
    """One kind of work.

    `repeat`: the number of measured requests. `goal`: the required ratios (direct, through the
    aggregator). `work(target, objects)` returns a function that sends the request of a number; the
    numbers never repeat in any measurement."""

    name: str
    repeat: int
    work: Callable[[Target, int], Callable[[int], Awaitable[Any]]]
    goal: tuple[float, float]


def _get(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    return lambda number: target.request("GET", place(number * 7919 % objects))


def _list(query: str = "", headers: dict[str, str] | None = None) -> Callable[[Target, int], Callable[[int], Awaitable[Any]]]:
    return lambda target, objects: lambda number: target.request("GET", ALL + query, headers=headers)


def _one_namespace(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    return lambda number: target.request("GET", collection(number))


def _post(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    def make(number: int) -> Awaitable[bytes]:
        obj = workload(target.group, f"w-{NEW + number:06}", rare=False)
        return target.request("POST", collection(number), body=orjson.dumps(obj), headers=JSON)

    return make


def _patch(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    def change(number: int) -> Awaitable[bytes]:
        body = orjson.dumps({"metadata": {"labels": {"touched": f"n-{number}"}}})
        return target.request("PATCH", place(number * 7919 % objects), body=body, headers=MERGE)

    return change


def _apply(target: Target, objects: int) -> Callable[[int], Awaitable[Any]]:
    def change(number: int) -> Awaitable[bytes]:
        chosen = number * 7919 % objects
        obj = workload(target.group, f"w-{chosen:06}", rare=False)
        obj["metadata"] = {"name": f"w-{chosen:06}", "labels": {"applied": f"n-{number}"}}
        return target.request("PATCH", f"{place(chosen)}?fieldManager=bench&force=true", body=orjson.dumps(obj), headers=APPLY)

    return change


ROWS = (
    Row("GET", 600, _get, (10, 2)),
    Row("LIST, plain", 8, _list(), (60, 10)),
    Row("LIST, gzip", 8, _list(headers=GZIP), (150, 50)),
    Row("LIST, Table", 8, _list(headers=TABLE), (100, 50)),
    Row("LIST, Table, gzip", 8, _list(headers={**TABLE, **GZIP}), (100, 50)),
    Row("LIST, 1 % by label", 60, _list("?labelSelector=rare%3Dtrue"), (50, 10)),
    Row("LIST, one namespace of 50", 60, _one_namespace, (50, 10)),
    Row("PATCH, merge", 300, _patch, (8, 4)),
    Row("PATCH, apply", 300, _apply, (8, 4)),
    Row("POST", 300, _post, (8, 4)),
)
