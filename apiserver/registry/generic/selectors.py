"""Parse label and field selectors from a query, and match them against an entry's labels and
fields.

Grammar and meaning: k8s.io/apimachinery/pkg/labels and pkg/fields. Fields support equality only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apiserver.apis.status import ApiError, bad_request
from apiserver.registry.generic.entry import Entry

NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
TOKEN = re.compile(r"\s*(?:(==|!=|[=!,()<>])|([^\s=!,()<>]+))\s*")

MOST = 64
"""The number of conditions in a selector. Each condition is tested on each object."""

Operator = Literal["=", "!=", "in", "notin", "exists", "!", "gt", "lt"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. `!=` and `notin` also match objects without the label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels satisfy the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "gt" | "lt":
                return self._compares(value)

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case _:
                symbol = {"gt": ">", "lt": "<"}.get(self.operator, self.operator)
                return f"{self.key}{symbol}{next(iter(self.values))}"

    def _compares(self, value: str | None) -> bool:
        if value is None or (number := _int64(value)) is None:
            return False
        bound = int(next(iter(self.values)))
        return number > bound if self.operator == "gt" else number < bound


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements. An empty selector matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """Parse the labelSelector parameter. Raises ApiError (400), which names the expected
        token."""
        return cls(tuple(_Parser(text).requirements()))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    @classmethod
    def of(cls, selector: Mapping[str, Any]) -> LabelSelector:
        """Return the selector of a LabelSelector in an object."""
        found = [Requirement(key, "=", frozenset([value])) for key, value in (selector.get("matchLabels") or {}).items()]
        return cls((*found, *map(_expression, selector.get("matchExpressions") or ())))

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return ",".join(map(str, self.requirements))


_OPERATORS: Mapping[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def _expression(expression: Mapping[str, Any]) -> Requirement:
    return Requirement(expression["key"], _OPERATORS[expression["operator"]], frozenset(expression.get("values") or ()))


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of terms: (field, whether it must equal the value, value)."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    @classmethod
    def parse(cls, text: str, known: Collection[str] | None = None) -> FieldSelector:
        """Parse the fieldSelector parameter.

        Raises ApiError (400) for bad syntax and for a field that is not in `known` (None: any
        field)."""
        parts = [part for part in _split_fields(text) if part]
        if len(parts) > MOST:
            raise _too_many("field")
        terms = tuple(map(_term, parts))
        for field, _, _ in terms:
            if known is not None and field not in known:
                raise bad_request(f"field label not supported: {field}; supported are: {', '.join(sorted(known))}")
        return cls(terms)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Return whether an object with these fields is selected.

        A missing field is "", as in apimachinery."""
        return all((fields.get(field, "") == value) is equal for field, equal, value in self.terms)

    def exact(self, field: str) -> str | None:
        """Return the value that the field must have, or None if the selector does not require
        one."""
        return next((value for name, equal, value in self.terms if equal and name == field), None)


@dataclass(frozen=True, slots=True)
class Selector:
    """The label selector and the field selector of one list, watch or deletecollection."""

    labels: LabelSelector = LabelSelector()
    fields: FieldSelector = FieldSelector()

    def matches(self, entry: Entry) -> bool:
        """Return whether the entry is selected."""
        return self.labels.matches(entry.labels) and self.fields.matches(entry.fields)

    def __bool__(self) -> bool:
        """Return False if the selector selects everything."""
        return bool(self.labels.requirements or self.fields.terms)


class _Parser:
    """A recursive-descent parser for label selectors."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    def requirements(self) -> Sequence[Requirement]:
        found: list[Requirement] = []
        while self._peek():
            found.append(self._requirement())
            if len(found) > MOST:
                raise _too_many("label")
            if not self._peek():
                break
            self._expect(",")
            if not self._peek():
                raise self._error("an identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        if self._take("!"):
            return Requirement(self._key(), "!")
        key = self._key()
        match self._peek():
            case "" | ",":
                return Requirement(key, "exists")
            case "=" | "==":
                self.at += 1
                return Requirement(key, "=", frozenset([self._value()]))
            case "!=":
                self.at += 1
                return Requirement(key, "!=", frozenset([self._value()]))
            case "in" | "notin" as operator:
                self.at += 1
                return Requirement(key, "in" if operator == "in" else "notin", self._values())
            case ">" | "<" as operator:
                self.at += 1
                return Requirement(key, "gt" if operator == ">" else "lt", frozenset([self._integer()]))
            case _:
                raise self._error("one of: =, ==, !=, in, notin, <, >")

    def _key(self) -> str:
        key = self._next()
        if not key or not _word(key):
            self.at -= 1
            raise self._error("an identifier")
        prefix, slash, name = key.rpartition("/")
        if not NAME.fullmatch(name) or len(name) > 63 or (slash and (not PREFIX.fullmatch(prefix) or len(prefix) > 253)):
            raise bad_request(
                f'unable to parse requirement: "{key}" is not a label key: use letters, digits, "-", "_" and ".", '
                'with an optional DNS subdomain and "/" before'
            )
        return key

    def _value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        value = self._next()
        if not _word(value):
            self.at -= 1
            raise self._error("a value")
        if not VALUE.fullmatch(value) or len(value) > 63:
            raise bad_request(f'unable to parse requirement: "{value}" is not a label value: at most 63 letters, digits, "-", "_" and "."')
        return value

    def _integer(self) -> str:
        value = self._value()
        if _int64(value) is None:
            raise bad_request(f'unable to parse requirement: for > and < the value must be an integer, not "{value}"')
        return value

    def _values(self) -> frozenset[str]:
        self._expect("(")
        found = set()
        while True:
            found.add("" if self._peek() in (",", ")") else self._value())
            if self._take(")"):
                return frozenset(found)
            self._expect(",")

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self.at += 1
        return token

    def _take(self, token: str) -> bool:
        if self._peek() == token:
            self.at += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(f"'{token}'")

    def _error(self, expected: str) -> ApiError:
        found = self._peek() or "the end"
        return bad_request(f"unable to parse requirement: found '{found}', expected: {expected}")


def _too_many(what: str) -> ApiError:
    return bad_request(f"the {what} selector has more than {MOST} conditions: ask for more objects and choose among them")


def _tokens(text: str) -> list[str]:
    return [symbol or word for symbol, word in TOKEN.findall(text)]


def _word(token: str) -> bool:
    return token[0] not in "=!,()<>"


def _int64(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _split_fields(text: str) -> list[str]:
    """Return the comma-separated terms with their backslash escapes."""
    return re.findall(r"((?:[^\\,]|\\.|\\$)*)(?:,|$)", text, re.DOTALL) if text else []


def _term(text: str) -> tuple[str, bool, str]:
    found = re.match(r"((?:[^\\=!]|\\.|!(?!=))*?)(!=|==|=)(.*)", text, re.DOTALL)
    if not found:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    field, operator, value = found.groups()
    return field.strip(), operator != "!=", _unescape(value)


def _unescape(value: str) -> str:
    """Return a value without its escapes.

    Only backslash, comma and equals sign can be escaped, and they must be."""
    if re.search(r"(?<!\\)(?:\\\\)*=", value) or not re.fullmatch(r"(?:[^\\]|\\[\\,=])*", value, re.DOTALL):
        raise bad_request(f"invalid field selector: invalid escape sequence or unescaped '=' in '{value}'")
    return re.sub(r"\\(.)", r"\1", value)
