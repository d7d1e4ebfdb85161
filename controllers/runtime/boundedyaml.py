"""Read a tenant's YAML or JSON at a bounded cost.

Size, depth and number of values are limited before anything is built. Aliases are refused: a text
of a few hundred bytes could represent gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import yaml

SIZE = 64 * 1024
"""The most bytes of a text. Metadata and network data of a machine have a few kilobytes."""
VALUES = 4096
"""The most values of a text, including keys. A network interface with its network has about
twenty."""
DEPTH = 32
NUMBER = 64
"""The most characters of a number, or of another scalar with a tag.

64-bit integers have up to 20. The time to read a number grows with the square of its length."""


_TAG = "tag:yaml.org,2002:"
_TEXT, _NUMBERS = f"{_TAG}str", (f"{_TAG}int", f"{_TAG}float")


class _Refused(ValueError):
    """Reports that a text is refused, in a message that quotes nothing of it."""


class _Loader(yaml.CSafeLoader):
    """A YAML loader without timestamps and sexagesimal numbers: both stay strings, as in Go."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (typed as an instance variable there)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of a node that has none. A MAC address of digits is no number."""
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call] # PyYAML has no types
        if tag not in _NUMBERS:
            return tag
        if ":" in value:
            return _TEXT
        _check_number(value)
        return tag

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, whose keys have to be strings.

        JSON has no other keys, and integers with the same hash would take quadratic time."""
        self.flatten_mapping(node)
        if any(key.tag != _TEXT for key, _ in node.value):
            raise yaml.YAMLError
        return super().construct_mapping(node, deep=deep)


def load(text: bytes) -> Any:
    """Return the value of the only document, None for an empty one. It consists of JSON types.

    Raises ValueError for a text that exceeds a limit or has no equivalent in JSON. The message is
    for the tenant, and quotes nothing of the text."""
    if len(text) > SIZE:
        raise _Refused(f"it has {len(text)} bytes; at most {SIZE} are read: make it smaller")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    else:
        _check_depth(found)
        return found
    try:
        _check(text)
        value = yaml.load(text, _Loader)
        orjson.dumps(value)
    except _Refused:
        raise
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError):
        # The error's own text must not be used, because it quotes the secret.
        raise ValueError("it is not a YAML or JSON object that can be used") from None
    return value


def _check_depth(value: Any) -> None:
    """Raise _Refused for a JSON value that is nested too deep. orjson reads some such values, but
    cannot write them."""
    level = [value]
    for _ in range(DEPTH):
        level = [item for found in level for item in _items(found) if isinstance(item, dict | list)]
        if not level:
            return
    raise _Refused(f"it is nested more than {DEPTH} levels deep")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check(text: bytes) -> None:
    """Raise _Refused or YAMLError for a text that exceeds a limit. The check reads YAML events one
    by one, so its memory is bounded."""
    depth = values = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.AliasEvent():
                raise _Refused("it uses a YAML alias: write its value out")
            case yaml.CollectionStartEvent():
                depth, values = depth + 1, values + 1
            case yaml.CollectionEndEvent():
                depth -= 1
            case yaml.ScalarEvent():
                values += 1
                if event.tag not in (None, "!", _TEXT):
                    _check_number(event.value)
        if depth > DEPTH:
            raise _Refused(f"it is nested more than {DEPTH} levels deep")
        if values > VALUES:
            raise _Refused(f"it has more than {VALUES} values: make it smaller, or write it as JSON")


def _check_number(text: str) -> None:
    if len(text) > NUMBER:
        raise _Refused(f"it has a number of more than {NUMBER} characters: put it into quotes if it is a text")
