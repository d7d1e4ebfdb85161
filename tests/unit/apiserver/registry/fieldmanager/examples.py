"""Define a small kind with every type of field, and generate random objects of it."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from apiserver.registry.fieldmanager import FieldSet, compile_schema

API_VERSION = "example.com/v1"
KIND = "Thing"
THEN, NOW = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
FEW = settings(max_examples=40, deadline=None)
"""The settings for properties of whole objects, which take long to generate."""
STATUS = FieldSet.of(("f:status",))
"""The fields that a write through the main resource cannot change."""

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}


def objects(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties}


def keyed(*keys: str, of: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list with keys."""
    return {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys), "items": of}


SCHEMA = objects(
    spec=objects(
        image=TEXT,
        replicas=NUMBER,
        paused={"type": "boolean"},
        args={"type": "array", "items": TEXT},
        tags={"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
        ports=keyed("port", "protocol", of=objects(port=NUMBER, protocol={**TEXT, "default": "TCP"}, name=TEXT)),
        selector={"type": "object", "additionalProperties": TEXT},
        frozen={"type": "object", "additionalProperties": TEXT, "x-kubernetes-map-type": "atomic"},
        nested=objects(x=NUMBER, deep=objects(y=TEXT, z=TEXT)),
        free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        either={"x-kubernetes-int-or-string": True},
    ),
    status=objects(phase=TEXT, conditions=keyed("type", of=objects(type=TEXT, status=TEXT))),
)
THING = compile_schema(SCHEMA)


def thing(spec: dict[str, Any] | None = None, /, **metadata: Any) -> dict[str, Any]:
    """Return an object of the kind."""
    found: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "a", **metadata}}
    return found if spec is None else {**found, "spec": spec}


def fields(**spec: Any) -> dict[str, Any]:
    """Return FieldsV1 of fields of spec. Names are given without "f:"."""
    return {"f:spec": {f"f:{name}": tree for name, tree in spec.items()}}


words = st.sampled_from(("a", "b", "c", "<&>"))
names = st.sampled_from(("a", "b", "c", "d.e/f"))
_scalars = st.one_of(words, st.integers(0, 2), st.booleans())
_free = st.dictionaries(names, st.recursive(_scalars, lambda inner: st.dictionaries(names, inner, max_size=2), max_leaves=4), max_size=3)
_port = st.fixed_dictionaries({"port": st.integers(0, 2)}, optional={"protocol": st.sampled_from(("TCP", "UDP")), "name": words})


def _port_key(port: dict[str, Any]) -> tuple[int, str]:
    return port["port"], port.get("protocol", "TCP")


specs: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "image": words,
        "replicas": st.integers(0, 2),
        "paused": st.booleans(),
        "args": st.lists(words, max_size=2),
        "tags": st.lists(words, max_size=3, unique=True),
        "ports": st.lists(_port, max_size=3, unique_by=_port_key),
        "selector": st.dictionaries(names, words, max_size=3),
        "frozen": st.dictionaries(names, words, max_size=3),
        "nested": st.fixed_dictionaries(
            {}, optional={"x": st.integers(0, 2), "deep": st.fixed_dictionaries({}, optional={"y": words, "z": words})}
        ),
        "free": _free,
        "either": st.one_of(words, st.integers(0, 2)),
    },
)
things: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda spec, labels: thing(spec, labels=labels), specs, st.dictionaries(names, words, min_size=1, max_size=2)
)
