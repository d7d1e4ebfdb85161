"""Check strings by named formats, with Kubernetes' messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from apiserver.cel.library.urls import parsed
from apiserver.cel.meter import Meter, traversal
from apiserver.cel.registry import function, member
from apiserver.cel.values import NONE, CelError, Opaque, Optional, timestamp_of

_LABEL, _NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?", "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_SAID = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric"
    f" character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_SAID = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'example.com', regex used for validation is"
    rf" '{_LABEL}(\.{_LABEL})*')"
)
_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_1035_SAID = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an"
    f" alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_1035}')"
)
_NAME_SAID = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or"
    f" 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_VALUE_SAID = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    r" '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
Check = Callable[[str], list[str]]


class Format(Opaque):
    """A named format. `size` is the length of the regular expression that determines its cost."""

    __slots__ = ("check", "name", "size")
    TYPE = "kubernetes.NamedFormat"

    def __init__(self, name: str, size: int, check: Check) -> None:
        self.name, self.size, self.check = name, size, check


def _limited(pattern: str, said: str, longest: int, *, prefix: bool = False) -> Check:
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> list[str]:
        if len(text) > longest:  # a longer text is not matched, because patterns with repetitions may take long
            return [f"must be no more than {longest} bytes"]
        shown = f"{text[:-1]}a" if prefix and len(text) > 1 and text.endswith("-") else text
        return [] if compiled.fullmatch(shown) else [said]

    return check


def _qualified(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    errors: list[str] = []
    if slash and "/" in prefix:
        return [f"a valid label key {_NAME_SAID} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    if slash:
        errors += ["prefix part must be non-empty"] if not prefix else [f"prefix part {one}" for one in _SUBDOMAIN_CHECK(prefix)]
    if not name:
        return [*errors, "name part must be non-empty", f"name part {_NAME_SAID}"]
    return errors + [f"name part {one}" for one in _limited(_NAME, _NAME_SAID, 63)(name)]


def _possible(parse: Callable[[str], object], said: str | None) -> Check:
    def check(text: str) -> list[str]:
        try:
            parse(text)
        except (CelError, ValueError) as error:
            return [said or str(error).removeprefix("URL parse error during conversion from string: ")]
        return []

    return check


def _day(text: str) -> date:
    if len(text) != 10:
        raise ValueError
    return date.fromisoformat(text)


def _matching(pattern: re.Pattern[str], said: str) -> Check:
    return lambda text: [] if pattern.fullmatch(text) else [said]


_SUBDOMAIN_CHECK = _limited(_SUBDOMAIN, _SUBDOMAIN_SAID, 253)
FORMATS = {
    "dns1123Label": Format("DNS1123Label", 30, _limited(_LABEL, _LABEL_SAID, 63)),
    "dns1123Subdomain": Format("DNS1123Subdomain", 60, _SUBDOMAIN_CHECK),
    "dns1035Label": Format("DNS1035Label", 30, _limited(_1035, _1035_SAID, 63)),
    "qualifiedName": Format("QualifiedName", 60, _qualified),
    "dns1123LabelPrefix": Format("DNS1123LabelPrefix", 30, _limited(_LABEL, _LABEL_SAID, 63, prefix=True)),
    "dns1123SubdomainPrefix": Format("DNS1123SubdomainPrefix", 60, _limited(_SUBDOMAIN, _SUBDOMAIN_SAID, 253, prefix=True)),
    "dns1035LabelPrefix": Format("DNS1035LabelPrefix", 30, _limited(_1035, _1035_SAID, 63, prefix=True)),
    "labelValue": Format("LabelValue", 40, _limited(f"({_NAME})?", _VALUE_SAID, 63)),
    "uri": Format("URI", 1103, _possible(parsed, None)),
    "uuid": Format("uuid", 77, _matching(_UUID, "does not match the UUID format")),
    "byte": Format("byte", 84, _matching(_BASE64, "invalid base64")),
    "date": Format("date", 87, _possible(_day, "invalid date")),
    "datetime": Format("datetime", 87, _possible(timestamp_of, "invalid datetime")),
}


def _constant(format: Format) -> None:
    function(f"format.{next(name for name, one in FORMATS.items() if one is format)}")(lambda meter: format)


for _one in FORMATS.values():
    _constant(_one)


@function("format.named", "string")
def _named(meter: Meter, name: str) -> Optional:
    return Optional(True, FORMATS[name]) if name in FORMATS else NONE


@member("validate", Format.TYPE, "string", cost=lambda format, text: traversal(len(text) + 1) * traversal(format.size, 0.25))
def _validate(meter: Meter, format: Format, text: str) -> Optional:
    errors = format.check(text)
    return Optional(True, errors) if errors else NONE
