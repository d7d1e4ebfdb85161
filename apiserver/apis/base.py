"""Define the base of every API type: camelCase on the wire, strict JSON types, unknown fields
pruned.

`decode` and `encode` convert JSON-shaped dicts into models and back. Encoding leaves out unset
fields, as Go's omitempty does, and fills declared defaults.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E|[eE][+-]?[0-9]+)?"

_QUANTITY = re.compile(QUANTITY)

DNSLabel = Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=63)]
DNSSubdomain = Annotated[str, StringConstraints(pattern=DNS_SUBDOMAIN, max_length=253)]
Timestamp = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"),
    Field(json_schema_extra={"format": "date-time"}),
]


def _is_quantity(value: int | str) -> bool:
    # 64 characters hold every realistic amount. A longer text would stay in the caches of functions
    # that compute with it.
    text = str(value) if isinstance(value, str) or abs(value) < 2**63 else ""
    return len(text) <= 64 and _QUANTITY.fullmatch(text) is not None


def _quantity(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str) or not _is_quantity(value):
        raise ValueError("not a quantity: write a number with an optional suffix, such as 16, 64Gi or 1Ti")
    return value


Quantity = Annotated[
    int | str,
    BeforeValidator(_quantity),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": QUANTITY, "x-kubernetes-int-or-string": True}),
]
"""A Kubernetes quantity: a number, or a string with a decimal or binary suffix. It is never
negative here."""


class Model(BaseModel):
    """One JSON object of the API.

    Attributes are snake_case in Python and camelCase (or their alias) on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", strict=True)

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Self:
        """Return the model of a JSON-shaped dict.

        Raises pydantic.ValidationError, whose locations are the field paths on the wire."""
        return cls.model_validate(value, by_alias=True, by_name=False)

    def encode(self) -> dict[str, Any]:
        """Return the JSON-shaped dict with defaults, and without unset and null fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
