"""Parse URLs, as Go's net/url does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from apiserver.cel.meter import Meter, traversal
from apiserver.cel.registry import function, member, reads
from apiserver.cel.values import CelError, Opaque

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]++(?:%25[^\]]*+)?+\]|[A-Za-z0-9\-._~!$&'()*+,;=\"<>\u0080-\U0010ffff]++|%[0-9A-Fa-f]{2})*+(?::[0-9]*+)?+"
)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
PATH = "/:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class URL(Opaque):
    """The parts of a URL."""

    scheme: str
    host: str
    path: str
    query: str
    TYPE = "kubernetes.URL"


def parsed(text: str) -> URL:
    """Return the URL: absolute, or an absolute path. Raises CelError."""
    try:
        return _parsed(text)
    except ValueError as error:
        said = f'URL parse error during conversion from string: parse "{text[:256]}": {error}'
        raise CelError(said) from None


def _parsed(text: str) -> URL:
    if not text:
        raise ValueError("empty url")
    if _CONTROL.search(text):
        raise ValueError("net/url: invalid control character in URL")
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if not rest.startswith("/"):
        if scheme is None:
            raise ValueError("invalid URI for request")
        return URL(scheme[1].lower(), "", "", rest.partition("?")[2])
    rest, _, query = rest.partition("#")[0].partition("?")
    host, path = "", rest
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
        host = host.rpartition("@")[2]
        good = _HOST.match(host)
        if good is None or good.end() < len(host):
            raise ValueError(f'invalid character "{host[good.end() if good else 0]}" in host name')
    if found := _BROKEN_ESCAPE.search(path):
        raise ValueError(f'invalid URL escape "{path[found.start() : found.start() + 3]}"')
    return URL(scheme[1].lower() if scheme else "", host, path, query)


def _is(text: str) -> bool:
    try:
        return bool(parsed(text))
    except CelError:
        return False


def _divided(host: str) -> tuple[str, str]:
    name, port = host, ""
    if (colon := host.rfind(":")) > host.rfind("]"):
        name, port = host[:colon], host[colon + 1 :]
    return (name[1:-1] if name.startswith("[") and name.endswith("]") else name), port


function("url", "string", cost=reads())(lambda meter, text: parsed(text))
function("isURL", "string", cost=reads())(lambda meter, text: _is(text))
member("getScheme", URL.TYPE)(lambda meter, url: url.scheme)
member("getHost", URL.TYPE)(lambda meter, url: url.host)
member("getHostname", URL.TYPE)(lambda meter, url: _divided(url.host)[0])
member("getPort", URL.TYPE)(lambda meter, url: _divided(url.host)[1])
member("getEscapedPath", URL.TYPE)(lambda meter, url: quote(url.path, safe=PATH + "%"))


@member("getQuery", URL.TYPE, cost=lambda url: 1 + traversal(len(url.query)))
def _query(meter: Meter, url: URL) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in url.query.split("&"):
        meter.charge(1)
        key, _, value = pair.partition("=")
        if pair and ";" not in pair and not _BROKEN_ESCAPE.search(pair):
            found.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return found
