"""YAML into JSON-shaped values, as sigs.k8s.io/yaml reads it: YAML 1.1 without times and sexagesimal numbers, keys as text.

Aliases and deep nesting are refused before anything is built from them: a small text could stand for a huge value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from apiserver.apis.status import bad_request

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["load", "resolve_scalars"]

BOOLEAN = re.compile("[yYnN]$")
"""Words of YAML 1.1 that PyYAML leaves out."""
INTEGER = re.compile(r"[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$")


def load(text: str, depth: int) -> tuple[Any, list[str]]:
    """The value of the one document in `text`, and a line on each key that is set twice. Raises ApiError (400)."""
    try:
        _scan(text, depth)
        loader = _Loader(text)
        try:
            return loader.get_single_data(), loader.duplicates
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"the body is not YAML that can be used: {' '.join(str(error).split())[:512]}") from None


def _scan(text: str, depth: int) -> None:
    """Look at the events only; composing nodes recurses."""
    level = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > depth:
                raise bad_request(f"the body is nested more than {depth} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise bad_request(f"the body uses the YAML alias *{event.anchor}: write its value out, or send JSON")


class _Loader(yaml.CSafeLoader):
    """Remembers doubled keys. Built on the safe loader: no tag makes anything but plain values."""

    # what YAML 1.1 takes for numbers and times is dropped; Kubernetes' numbers are added below
    yaml_implicit_resolvers = {  # noqa: RUF012 (typed as an instance variable there)
        first: [
            (tag, pattern)
            for tag, pattern in found
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        ]
        for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    bool_values: ClassVar[dict[str, bool]] = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.duplicates: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping with its keys as text."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise bad_request("the body has keys that are not text")
            if key.value in seen:
                self.duplicates.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
            seen.add(key.value)
        self.flatten_mapping(node)
        # not by the base class, whose dict would take the keys 1 and true for the same
        return {_key(self.construct_object(key)): self.construct_object(value, deep=deep) for key, value in node.value}


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise bad_request("the body has keys that are not text")


def resolve_scalars(resolver: Any) -> None:
    """Let a PyYAML loader take for numbers and booleans what Kubernetes takes for them, or a dumper put such text into quotes."""
    resolver.add_implicit_resolver("tag:yaml.org,2002:bool", BOOLEAN, list("yYnN"))
    resolver.add_implicit_resolver("tag:yaml.org,2002:int", INTEGER, list("-+0123456789"))
    resolver.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


resolve_scalars(_Loader)
