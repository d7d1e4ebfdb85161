"""Define the readers of tenants' bytes as functions of bytes, for fuzzing.

Any exception except a documented refusal is a fault. Besides, no step may hold the loop for long,
and some laws hold for every accepted input.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.apis.images import url_problem
from apiserver.apis.quantity import parse_quantity
from apiserver.apis.status import ApiError
from apiserver.dev.strategic import strategic_merge
from apiserver.handlers.request.body import DEPTH, decode
from apiserver.handlers.request.negotiation import clauses, content_type
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.patch import json_patch, merge_patch, operations_of
from apiserver.registry.generic.selectors import FieldSelector, LabelSelector
from controllers.runtime.boundedyaml import load
from tests.hostile.measure import HELD, slowness
from tests.hostile.server import TENANT, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEDIA = ("application/json", "application/yaml", "application/apply-patch+yaml")
LABELS = {"a": "b", "example.com/c": "1", "size": ""}
TRIES = 3
LIVE: dict[str, Any] = {
    "apiVersion": "workload.metal3.io/v1alpha1",
    "kind": "Workload",
    "metadata": {"name": "there", "namespace": TENANT, "labels": {"a": "b"}, "finalizers": ["a/b"], "ownerReferences": [{"uid": "u"}]},
    "spec": {"online": False, "hostSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
}


class Slow(Exception):
    """The target took longer than a step of the loop may."""


def run(target: Callable[[bytes], None], data: bytes, slack: float = 1.0) -> None:
    """Pass the bytes to the target. Raises the target's exceptions, and Slow.

    `slack`: the factor by which observation makes it slower."""
    took = _took(target, data)
    if took > HELD * slack:
        took = min(_took(target, data) for _ in range(TRIES))
        most = HELD * slack * slowness()
        if took > most:
            raise Slow(f"{len(data)} bytes took {took * 1000:.0f} ms of CPU; {most * 1000:.0f} ms are the most")


def _took(target: Callable[[bytes], None], data: bytes) -> float:
    began = time.thread_time()
    target(data)
    return time.thread_time() - began


@contextmanager
def refusing() -> Iterator[None]:
    """Accept a refusal as an answer, as clients do, but no failure of the server."""
    try:
        yield
    except ApiError as error:
        if error.code >= 500:
            raise


def body(data: bytes) -> None:
    """Decode a body, whose first byte selects the media type. The result is JSON, and can be read
    again."""
    media = MEDIA[data[0] % len(MEDIA)] if data else MEDIA[0]
    with refusing():
        value = decode(data[1:], media).value
        again = orjson.dumps(value)
        assert decode(again, MEDIA[0]).value == value
        assert _depth(again) <= DEPTH


def _depth(json: bytes) -> int:
    """Return the levels of brackets, including unbalanced ones in strings.

    The result is an upper bound that is sufficient for texts without strings."""
    if b'"' in json:
        return 0
    level = most = 0
    for one in json:
        level += (one in b"[{") - (one in b"]}")
        most = max(most, level)
    return most


def selector(data: bytes) -> None:
    """Parse a selector. The first byte selects labels or fields."""
    text = data[1:].decode("utf-8", "replace")
    with refusing():
        if data[:1] < b"\x80":
            LabelSelector.parse(text).matches(LABELS)
        else:
            FieldSelector.parse(text)


def patch(data: bytes) -> None:
    """Apply a JSON patch, a merge patch or a strategic one to an object. Merging twice equals
    merging once."""
    with refusing():
        value = decode(data, MEDIA[0]).value
        live = orjson.loads(orjson.dumps(LIVE))
        if isinstance(value, list):
            json_patch(live, operations_of(value))
        elif isinstance(value, dict):
            merged = merge_patch(live, value)
            assert merge_patch(merged, value) == merged
            strategic_merge(live, value)
            assert live == LIVE


def header(data: bytes) -> None:
    """Parse values of headers."""
    text = data.decode("latin-1")
    clauses(text)
    with refusing():
        content_type(text)


def secret(data: bytes) -> None:
    """Parse the content of a machine's metadata or network data."""
    try:
        orjson.dumps(load(data))
    except UnicodeError:
        raise
    except ValueError:
        pass  # the refusal, whose message the tenant reads


def text(data: bytes) -> None:
    """Parse single values: a quantity, and the URL of an image."""
    found = data.decode("utf-8", "replace")
    with suppress(ValueError):
        parse_quantity(found)
    url_problem(found, None)


class Writes:
    """The registries of a server over an empty store, with a loop to run them. All writes are dry
    runs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.server = Server(Path(self.folder.name))
        self.loop.run_until_complete(self.server.start())
        catalog, core = self.server.catalog, self.server.core
        self.kinds = (
            (catalog.workloads, "workload.metal3.io/v1alpha1", "Workload", "there"),
            (catalog.views, "metal3.io/v1alpha1", "BareMetalHost", "node-0"),
            (core.secrets, "v1", "Secret", "there"),
        )

    def close(self) -> None:
        self.loop.run_until_complete(self.server.stop())
        self.loop.close()
        self.folder.cleanup()

    def write(self, how: int, value: dict[str, Any]) -> None:
        """Create, update or apply an object that contains the value."""
        registry, version, kind, name = self.kinds[how % 3]
        metadata = value.get("metadata")
        named = {**(metadata if isinstance(metadata, dict) else {}), "name": name if how // 3 % 3 else "new", "namespace": TENANT}
        obj = {**value, "apiVersion": version, "kind": kind, "metadata": named}
        context = Context(UserInfo("eve"), field_manager="m", dry_run=True)
        match how // 3 % 3:
            case 0:
                work: Any = registry.create(context, TENANT, obj)
            case 1:
                work = registry.update(context, TENANT, name, lambda live: merge_patch(live, obj))
            case _:
                work = registry.apply(context, TENANT, name, obj, force=how > 127)
        self.loop.run_until_complete(work)


@cache
def writes() -> Writes:
    """Return the registries, which are created once in a process."""
    return Writes()


def write(data: bytes) -> None:
    """Create, update or apply an object. The first byte selects the operation and the kind."""
    with refusing():
        value = decode(data[1:], MEDIA[0]).value
        if isinstance(value, dict):
            writes().write(data[0], value)


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, -(2**63), 2**64 - 1, 1.5, 1e308, 5e-324, "", "a", "A/b", "a/b/c", "\0", "\u2028", "\U0001f600"),
    *("1Gi", "-1", "1e9", "2026-01-01T00:00:00Z", "In", "NotIn", "Exists", "Equals", "v1", "Apply", "Update", "status", "Delete", "Retain"),
    *("https://images.example.com/x", "sha256", "f:a", "k:{}", 'k:{"uid":"u"}', 'v:"a"', "i:0", ".", "FieldsV1", "tenant-a", "metal"),
)
NAMES = (
    *("metadata", "spec", "status", "data", "stringData", "type", "immutable", "labels", "annotations", "finalizers", "ownerReferences"),
    *("managedFields", "manager", "operation", "apiVersion", "kind", "time", "fieldsType", "fieldsV1", "subresource", "name", "namespace"),
    *("uid", "resourceVersion", "generation", "deletionTimestamp", "creationTimestamp", "generateName", "selfLink", "controller"),
    *("image", "url", "checksum", "checksumType", "format", "online", "className", "hostSelector", "matchLabels", "matchExpressions"),
    *("key", "operator", "values", "requirements", "ram", "storage", "cpuCount", "nics", "resources", "architecture", "userData"),
    *("metaData", "networkData", "consumerRef", "customDeploy", "method", "automatedCleaningMode", "reclaimPolicy", "updatePolicy"),
    *(
        "hostRef",
        "failureDomain",
        "gang",
        "minAvailable",
        "priority",
        "placement",
        "failureDomains",
        "required",
        "preferred",
        "topologySpread",
        "topologyKey",
        "maxSkew",
        "whenUnsatisfiable",
        "labelSelector",
        "antiAffinity",
        "weight",
        "conditions",
        "reason",
        "message",
        "lastTransitionTime",
        "phase",
        "bmc",
        "f:metadata",
        "f:spec",
        "f:data",
    ),
    *("f:labels", "f:a", ".", "a", "", "kubectl.kubernetes.io/last-applied-configuration", "reboot.metal3.io", "$patch", "$retainKeys"),
)


def grown(data: Iterator[int], depth: int = 0) -> Any:
    """Return a value that is derived from bytes, each of which has a meaning.

    A fuzzer's mutations of JSON text mostly break it."""
    one = next(data, 0)
    if depth > 8 or one < 128:
        return ODD[one % len(ODD)]
    count = one % 8
    if one < 160:
        return [grown(data, depth + 1) for _ in range(count)]
    return {NAMES[next(data, 0) % len(NAMES)]: grown(data, depth + 1) for _ in range(count)}


def grow(data: bytes) -> None:
    """Write a value whose every byte has a meaning. Top-level fields are at the start."""
    rest = iter(data[1:])
    value = {name: grown(rest) for name in NAMES[: 1 + (len(data) > 8) + (len(data) > 32)]}
    with refusing():
        if data:
            writes().write(data[0], value)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "body": body,
    "selector": selector,
    "patch": patch,
    "header": header,
    "secret": secret,
    "text": text,
    "write": write,
    "grow": grow,
}
