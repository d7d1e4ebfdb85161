"""Bound the texts of a Workload's spec that its model does not bound, because earlier versions
stored longer ones.

A text that is stored stays accepted as long as it is not changed, also while other fields change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apiserver.apis.names import FIRST_BOOT

NAME, QUALIFIED, PATH = 253, 317, 1024
"""The largest number of characters of a name, of a key or version with its group, and of a field
path."""
LONGEST: dict[tuple[str, ...], int] = {
    **{(field, "name"): NAME for field in FIRST_BOOT},
    ("image", "ociAuthSecretName"): NAME,
    ("customDeploy", "method"): NAME,
    ("requirements", "architecture"): NAME,
    **{("consumerRef", field): NAME for field in ("kind", "namespace", "name", "uid", "resourceVersion")},
    ("consumerRef", "apiVersion"): QUALIFIED,
    ("consumerRef", "fieldPath"): PATH,
}
"""The largest number of characters of the text at each path of the spec."""


def long_texts(spec: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the path and the limit of each text that is too long, unless it is stored already.

    `old` is the stored spec, or {} if there is none."""
    for path, most in LONGEST.items():
        value = _at(spec, path)
        if isinstance(value, str) and len(value) > most and value != _at(old, path):
            yield ".".join(path), most
    stored = _at(old, ("hostSelector", "matchLabels")) or {}
    for key in _at(spec, ("hostSelector", "matchLabels")) or ():
        if len(key) > QUALIFIED and key not in stored:
            yield "hostSelector.matchLabels", QUALIFIED


def _at(spec: Any, path: tuple[str, ...]) -> Any:
    """Return the value at the path, or None."""
    for field in path:
        spec = spec.get(field) if isinstance(spec, dict) else None
    return spec
