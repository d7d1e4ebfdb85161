"""Convert YAML into JSON-shaped values, as sigs.k8s.io/yaml does.

That is YAML 1.1 without times and sexagesimal numbers, and with strings as keys. Values are built
from the parser's events, one by one. The code does not recurse, and ends as soon as values are too
deep or too many. It can be interrupted after every few events. Aliases are refused, because a small
text could represent a huge value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import yaml

from apiserver.apis.status import ApiError, bad_request, too_many_values

BOOLEAN = re.compile("[yYnN]$")
"""The words of YAML 1.1 that PyYAML leaves out."""
INTEGER = re.compile(r"[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$")


NUMBER = 1024
"""The largest number of characters in a number.

PyYAML's time to read a number grows with the square of its length."""
EVENTS = 32
"""The number of events after which the work can be interrupted, well under a millisecond."""
TAG = "tag:yaml.org,2002:"
TEXT, MERGE, VALUE = f"{TAG}str", f"{TAG}merge", f"{TAG}value"
COLLECTIONS = (None, "!", f"{TAG}map"), (None, "!", f"{TAG}seq")

Loading = Generator[None, None, tuple[Any, list[str]]]


def parse(text: str, depth: int, values: int) -> Loading:
    """Return the value of the only document in `text`, and a line about each duplicate key.

    Yields where the work can be interrupted. Raises ApiError: 400 for text that is not YAML
    equivalent to JSON, or is deeper than `depth`, and 413 for more than `values` values."""
    loader = _Loader(text)
    try:
        builder = _Builder(depth, values)
        count = 0
        while not builder.done:
            builder.take(loader, loader.get_event())
            count += 1
            if count % EVENTS == 0:
                yield
        return builder.value, builder.duplicates
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"the body is not YAML that can be used: {' '.join(str(error)[:2048].split())[:512]}") from None
    finally:
        loader.dispose()


class _Loader(yaml.CSafeLoader):
    """A loader that returns events and interprets plain scalars."""

    # remove YAML 1.1's numbers and times; Kubernetes' numbers are added below
    yaml_implicit_resolvers = {  # noqa: RUF012 (typed as an instance variable there)
        first: [
            (tag, pattern)
            for tag, pattern in found
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        ]
        for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    bool_values: ClassVar[dict[str, bool]] = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}


SCALARS: dict[str, Callable[[Any, Any], Any]] = {
    TAG + "null": _Loader.construct_yaml_null,
    TAG + "bool": _Loader.construct_yaml_bool,
    TAG + "int": _Loader.construct_yaml_int,
    TAG + "float": _Loader.construct_yaml_float,
}


class _Open:
    """A collection whose end has not been reached.

    `key` is the key of the next value, None before the key is known."""

    __slots__ = ("items", "key", "merged", "seen")

    def __init__(self, items: dict[str, Any] | list[Any]) -> None:
        self.items = items
        self.key: str | None = None
        self.seen: set[str] = set()
        self.merged: list[dict[str, Any]] = []


_MERGE = "\0<<"
"""Represents the key << of a mapping. It cannot be a string of YAML."""


class _Builder:
    """The value built so far."""

    def __init__(self, depth: int, values: int) -> None:
        self.value: Any = None
        self.done = False
        self.duplicates: list[str] = []
        self._depth, self._values = depth, values
        self._open: list[_Open] = []
        self._documents = self._count = 0

    def take(self, loader: _Loader, event: Any) -> None:
        """Process the next event."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(loader, event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.AliasEvent():
                raise bad_request(f"the body uses the YAML alias *{str(event.anchor)[:64]}: write its value out, or send JSON")
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise bad_request("the body has more than one YAML document: send one at a time")
            case yaml.StreamEndEvent() | None:
                self.done = True

    def _scalar(self, loader: _Loader, event: Any) -> None:
        tag: str = event.tag
        if tag in (None, "!"):
            tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call] # PyYAML has no types
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.items, dict) and top.key is None:
            self._key(loader, top, tag, event)
        else:
            self._put(_scalar(loader, tag, event))

    def _key(self, loader: _Loader, top: _Open, tag: str, event: Any) -> None:
        if event.value in top.seen:
            self.duplicates.append(f'line {event.start_mark.line + 1}: key "{event.value}" already set in map')
        top.seen.add(event.value)
        top.key = _MERGE if tag == MERGE else event.value if tag == VALUE else _key(_scalar(loader, tag, event))

    def _begin(self, event: Any) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in COLLECTIONS[0 if mapping else 1]:
            raise _foreign(event.tag)
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.items, dict) and top.key is None:
            raise bad_request("the body has keys that are not text")
        if len(self._open) >= self._depth:
            raise bad_request(f"the body is nested more than {self._depth} levels deep")
        self._open.append(_Open({} if mapping else []))

    def _end(self) -> None:
        ended = self._open.pop()
        if isinstance(ended.items, dict) and ended.merged:
            merged: dict[str, Any] = {}
            for part in ended.merged:
                merged.update(part)
            ended.items = {**merged, **ended.items}
        self._put(ended.items)

    def _put(self, value: Any) -> None:
        self._count += 1
        if self._count > self._values:
            raise too_many_values(self._values)
        if not self._open:
            self.value = value
            return
        top = self._open[-1]
        if isinstance(top.items, list):
            top.items.append(value)
        elif top.key is _MERGE:
            top.merged.extend(_mappings(value))
            top.key = None
        else:
            assert top.key is not None, "a value comes after its key"
            top.items[top.key], top.key = value, None


def _mappings(value: Any) -> list[dict[str, Any]]:
    """Return the mappings that the key << merges, the one with the highest priority last."""
    found = value[::-1] if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in found):
        raise bad_request("the body has a key << whose value is no mapping: write it out, or send JSON")
    return found


def _scalar(loader: _Loader, tag: str, event: Any) -> Any:
    if tag == TEXT:
        return event.value
    construct = SCALARS.get(tag)
    if construct is None:
        raise _foreign(tag)
    if len(event.value) > NUMBER:
        raise bad_request(f"the body has a number of more than {NUMBER} characters")
    try:
        return construct(loader, yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark))
    except (KeyError, IndexError):
        raise bad_request(f"the body has a value that is not of its tag: {tag.removeprefix(TAG)[:64]}") from None


def _foreign(tag: str) -> ApiError:
    return bad_request(f"the body has a value of a type that JSON has not: {tag.removeprefix(TAG)[:64]}")


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise bad_request("the body has keys that are not text")


def resolve_scalars(resolver: Any) -> None:
    """Make a PyYAML loader read numbers and booleans as Kubernetes does, or a dumper quote such
    strings."""
    resolver.add_implicit_resolver("tag:yaml.org,2002:bool", BOOLEAN, list("yYnN"))
    resolver.add_implicit_resolver("tag:yaml.org,2002:int", INTEGER, list("-+0123456789"))
    resolver.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


resolve_scalars(_Loader)
