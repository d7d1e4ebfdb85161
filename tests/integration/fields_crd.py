"""Define a kind whose schema has everything that field management distinguishes, and generate
random objects of it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

GROUP, VERSION, KIND, PLURAL = "fields.example.com", "v1", "Rich", "riches"
API_VERSION = f"{GROUP}/{VERSION}"

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
INT_OR_STRING = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _map(of: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": of, **rest}


def _keyed(keys: list[str], of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": of}


def _set(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "x-kubernetes-list-type": "set", "items": of}


SPEC = _object(
    replicas={**NUMBER, "default": 1},
    image=TEXT,
    paused={"type": "boolean"},
    ratio={"type": "number"},
    when={"type": "string", "format": "date-time"},
    args={"type": "array", "items": TEXT},
    tags=_set(TEXT),
    numbers=_set(NUMBER),
    ports=_keyed(
        ["port", "protocol"],
        {
            **_object(port=NUMBER, protocol={**TEXT, "default": "TCP"}, name=TEXT, extra=_object(a=TEXT, b=TEXT)),
            "required": ["port", "protocol"],
        },
    ),
    template={**_object(a=TEXT, b=_object(c=TEXT)), "x-kubernetes-map-type": "atomic"},
    selector=_map(TEXT),
    frozen=_map(TEXT, **{"x-kubernetes-map-type": "atomic"}),
    limits=_map(INT_OR_STRING),
    nested=_object(deep=_object(x=NUMBER, y=TEXT, args={"type": "array", "items": NUMBER}), sibling=TEXT),
    groups=_map(_object(size=NUMBER, members=_set(TEXT))),
    quantity=INT_OR_STRING,
    maybe={**_object(a=TEXT), "nullable": True},
    free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    anything={"x-kubernetes-preserve-unknown-fields": True},
    known={**_object(a=TEXT), "x-kubernetes-preserve-unknown-fields": True},
)
STATUS = _object(
    phase=TEXT,
    count=NUMBER,
    conditions=_keyed(["type"], {**_object(type=TEXT, status=TEXT, reason=TEXT), "required": ["type"]}),
)
SCHEMA = _object(spec=SPEC, status=STATUS)


def crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": copy.deepcopy(SCHEMA)},
        "subresources": {"status": {}},
    }
    names = {"kind": KIND, "plural": PLURAL, "singular": KIND.lower(), "listKind": f"{KIND}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


WORDS = ("a", "b", "c", "x<y", 'q"\\\b')
NAMES = ("a", "b", "c", "d.e/f")


def random_object(random: Random, *, status: bool) -> dict[str, Any]:
    """Return a sparse object without name: each field may be missing.

    It has `status` alone, or else spec and some metadata."""
    found: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {}}
    if status or random.random() < 0.2:
        found["status"] = _value(random, STATUS)
    if not status or random.random() < 0.2:
        found["spec"] = _value(random, SPEC)
        found["metadata"] |= _metadata(random)
    return found


def _metadata(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in ("labels", "annotations"):
        if random.random() < 0.5:
            found[field] = {name: random.choice("xy") for name in random.sample(("a", "b", "e.x/c"), random.randrange(3))}
    if random.random() < 0.2:
        found["finalizers"] = random.sample(("a.x/f", "b.x/f", "c.x/f"), random.randrange(3))
    if random.random() < 0.2:
        owners = random.sample(("u1", "u2", "u3"), random.randrange(3))
        found["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": random.choice("mn"), "uid": uid} for uid in owners]
    return found


def _value(random: Random, schema: dict[str, Any]) -> Any:
    if schema.get("nullable") and random.random() < 0.3:
        return None
    if schema.get("x-kubernetes-int-or-string"):
        return random.choice((1, 2, "1", "50%"))
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return _free(random, schema)
    kind = schema["type"]
    if kind == "object":
        return _random_map(random, schema)
    if kind == "array":
        return _random_list(random, schema)
    if schema.get("format") == "date-time":
        return random.choice(("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"))
    return _scalar(random, kind)


def _scalar(random: Random, kind: str) -> Any:
    return {"string": random.choice(WORDS), "integer": random.randrange(3), "number": random.choice((1, 1.5, 2.0))}.get(
        kind, random.random() < 0.5
    )


def _random_map(random: Random, schema: dict[str, Any]) -> dict[str, Any]:
    if "additionalProperties" in schema:
        names = random.sample(NAMES, random.randrange(4))
        return {name: _value(random, schema["additionalProperties"]) for name in names}
    wanted = set(schema.get("required", ())) - {"protocol"}
    chance = 0.25 if len(schema["properties"]) > 8 else 0.5
    return {name: _value(random, part) for name, part in schema["properties"].items() if name in wanted or random.random() < chance}


def _random_list(random: Random, schema: dict[str, Any]) -> list[Any]:
    items = [_value(random, schema["items"]) for _ in range(random.randrange(4))]
    if schema.get("x-kubernetes-list-type") == "set":
        return sorted(set(items), key=lambda _: random.random())
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if not keys:
        return items
    return list({tuple(item.get(key, "TCP") for key in keys): item for item in items}.values())


def _free(random: Random, schema: dict[str, Any]) -> Any:
    """Return a value for a place where unknown fields are kept."""
    found = _untyped(random, schema.get("type") or random.choice(("object", "string", "integer", "array", "boolean")), 2)
    declared = schema.get("properties")
    if declared is None:
        return found
    return {name: value for name, value in found.items() if name not in declared} | _random_map(random, {"properties": declared})


def _untyped(random: Random, kind: str, depth: int) -> Any:
    kinds = ("string", "integer", "boolean", "number") + (("object", "array") if depth else ())
    if kind == "object":
        return {name: _untyped(random, random.choice(kinds), depth - 1) for name in random.sample(NAMES, random.randrange(3))}
    if kind == "array":
        return [_untyped(random, random.choice(kinds), depth - 1) for _ in range(random.randrange(3))]
    return _scalar(random, kind)
