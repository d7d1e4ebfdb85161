"""Convert path elements of FieldsV1: f:<field>, k:<keys of an item>, v:<value of an item>,
i:<index>.

The canonical text of an element is its identity here, so that sets of fields are plain nested dicts
with these texts as keys. The text is what kube-apiserver writes: keys sorted, no spaces, "<", ">"
and "&" escaped (sigs.k8s.io/structured-merge-diff/v6/fieldpath/serialize-pe.go).
"""

from __future__ import annotations

from typing import Any

import orjson

from apiserver.apis.bounded import bounded_lru_cache

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_SHORT = {"\\b": "\\u0008", "\\f": "\\u000c"}


def item_key(keys: dict[str, Any]) -> str:
    """Return the element of a list item with these keys."""
    return "k:" + _json(whole_numbers(keys))


REMEMBERED = 128
"""The largest number of characters of a cached text. Tenants could fill the memory with longer
ones."""


@bounded_lru_cache(4096, REMEMBERED)
def text_key(name: str, value: str) -> str:
    """Return item_key of a single string, which most lists have."""
    return "k:" + _json({name: value})


def set_value(value: Any) -> str:
    """Return the element of an item of a set. `value` is a scalar, but not null."""
    return _text(value) if type(value) is str else "v:" + _json(whole_numbers(value))


@bounded_lru_cache(4096, REMEMBERED)
def _text(value: str) -> str:
    return "v:" + _json(value)


def whole_numbers(value: Any) -> Any:
    """Return the value with 2 for 2.0, because JSON has only one kind of numbers."""
    if isinstance(value, dict):
        return {name: whole_numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 1e21 else value


def _json(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if any(character in text for character in _ESCAPED):
        text = "".join(_ESCAPED.get(character, character) for character in text)
    if "\\" in text:
        text = _long_escapes(text)
    return text


def _long_escapes(text: str) -> str:
    """Replace \\b and \\f by \\u0008 and \\u000c, except after an escaped backslash."""
    parts = text.split("\\\\")
    for short, long in _SHORT.items():
        parts = [part.replace(short, long) for part in parts]
    return "\\\\".join(parts)


def canonical(element: str) -> str | None:
    """Return the canonical text of a client's element, or None for an unknown kind, which is
    ignored.

    Raises ValueError for a text that is not an element.
    """
    if element[1:2] != ":":
        raise ValueError(f'"{element}" is no path element: it must begin with "f:", "k:", "v:" or "i:"')
    kind, text = element[0], element[2:]
    if kind == "f":
        return element
    if kind == "i":
        return f"i:{int(text)}"
    if kind == "v":
        return set_value(orjson.loads(text))
    if kind == "k":
        keys = orjson.loads(text)
        if not isinstance(keys, dict):
            raise ValueError(f'"{element}" is no path element: what follows "k:" must be a JSON object')
        return item_key(keys)
    return None


def render(path: tuple[str, ...]) -> str:
    """Return a path for messages: .spec.ports[name="http"].port, .metadata.finalizers[="x"],
    .args[0]."""
    return "".join(_render(element) for element in path)


def _render(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return "." + text
    if kind == "k":
        return "[" + ",".join(f"{name}={_shown(value)}" for name, value in sorted(orjson.loads(text).items())) + "]"
    if kind == "v":
        return f"[={_shown(orjson.loads(text))}]"
    return f"[{text}]"


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()


def sort_key(element: str) -> tuple[int, Any]:
    """Return a key that sorts elements as kube-apiserver does: fields, then items by keys, values,
    indices."""
    kind, text = element[0], element[2:]
    if kind == "f":
        return (0, text)
    if kind == "k":
        return (1, [(name, _value_order(value)) for name, value in sorted(orjson.loads(text).items())])
    if kind == "v":
        return (2, _value_order(orjson.loads(text)))
    return (3, int(text))


def _value_order(value: Any) -> tuple[int, Any]:
    """Return a key that sorts numbers, then strings, then booleans, then others.

    Source: value.Compare in structured-merge-diff."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    return (3, _shown(value))
