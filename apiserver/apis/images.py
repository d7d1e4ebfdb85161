"""Decide what Workloads of a class may deploy: which URLs may be fetched, and which deploy methods
used.

The source of machines fetches images and checksums from inside the owner's network, and a tenant
can read the fetched data from the disk. So a URL is parsed strictly first: one that parsers may
read differently is refused. Then it must match a rule of the class. Host names are not resolved.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SHOWN = 256
"""The largest number of characters of a URL in a record."""
MAX_URL = 2048
"""The largest number of characters of a URL."""
MAX_METHOD = 63
CLASS = "the class"
MOST_RULES = 10
"""The largest number of a class's rules that a message lists."""
DEFAULT_SCHEMES = ("https", "http", "oci")
PROVIDER_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "metal3.io/cloud": ("ami", "glance"),
    "metal3.io/kubevirt": ("containerdisk", "docker"),
}
"""The additional schemes that a provider reads, by provisioner.

The class must list the schemes of other providers."""

CHECKSUM_PROVISIONERS = ("metal3.io/baremetalhost", "metal3.io/relay")
"""The provisioners whose machines BMO provisions."""
MISSING_CHECKSUM = "set spec.image.checksum and checksumType: only live ISOs (format live-iso) and OCI images (oci://) need none"

_CLOUD_IDS = ("ami", "glance")
"""The schemes whose URLs contain the identifier of an image, and no host."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}")
_ALLOWED = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""The characters of RFC 3986: no white space, control character, backslash or non-ASCII letter."""
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_DIGEST = re.compile(r"[A-Za-z0-9+=_-]{1,256}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")
DIGITS: Mapping[str, int] = {"md5": 32, "sha256": 64, "sha512": 128}
"""Hexadecimal digits of a digest, by checksumType."""
DEFAULT_CHECKSUM, AUTO = "md5", "auto"
"""The checksumType that BMO assumes for an empty one, and the one that derives it from the
digest."""
_METHOD = re.compile(r"[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?")
_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|%(?:2[eEfF]|5[cC]|[01][0-9A-Fa-f]|7[fF])")
"""Percent signs that encode nothing, or hide a dot, a slash, a backslash or a control character."""

_LOCAL_NAMES = ("localhost", "local", "localdomain", "internal", "svc", "pod")
_METADATA = tuple(
    ipaddress.ip_network(text) for text in ("100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24", "fd00:ec2::/32", "fd20:ce::/32")
)
"""The metadata services of clouds beyond the link-local addresses."""
_EMBEDDING = tuple(ipaddress.ip_network(text) for text in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48"))
"""The IPv6 networks whose last 32 bits are an IPv4 address."""


class BadURL(ValueError):
    """The URL is malformed, or parsers may read it differently."""


@dataclass(frozen=True, slots=True)
class Location:
    """The parts of a URL.

    Scheme and host are in lower case, without a trailing dot. `segments` are the segments of the
    path, unchanged."""

    scheme: str
    host: str
    port: int | None
    segments: tuple[str, ...]


def parse(url: str) -> Location:
    """Return the URL's parts. Raises BadURL with a phrase that says what is wrong."""
    if not url:
        raise BadURL("it is empty")
    if len(url) > MAX_URL:
        raise BadURL(f"it is longer than {MAX_URL} characters")
    if not _ALLOWED.fullmatch(url):
        raise BadURL("it has characters that a URL may not have (white space, control characters, backslashes, or beyond ASCII)")
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise BadURL("it has no scheme: begin it with one, such as https://")
    authority, path = _split(rest)
    if "@" in authority:
        raise BadURL("it holds credentials (user-info before @): leave them out")
    if "#" in path:
        raise BadURL("it has a fragment (#): leave it out")
    host, port = _host_and_port(authority)
    return Location(scheme.lower(), host, port, _segments(path))


def _split(rest: str) -> tuple[str, str]:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    if path and not path.startswith("/"):
        raise BadURL("a / has to follow its host")
    return authority, path


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "%" in authority:
        raise BadURL("its host is percent-encoded")
    if authority.startswith("["):
        host, closed, after = authority[1:].partition("]")
        if not closed:
            raise BadURL("its IPv6 address is not closed by ]")
        return _ipv6(host), _port(after)
    host, colon, port = authority.partition(":")
    return _name(host), _port(colon + port)


def _port(text: str) -> int | None:
    if not text:
        return None
    if not _PORT.fullmatch(text[1:]) or text[0] != ":" or int(text[1:]) > 65535:
        raise BadURL("its port is not a number from 1 to 65535")
    return int(text[1:])


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise BadURL("its IPv6 address is not one") from None


def _name(text: str) -> str:
    host = text.lower().removesuffix(".")
    if not host:
        return ""
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadURL("its host is not a name")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise BadURL("its host is a number: write an IPv4 address as four decimal numbers") from None
    return host


def _segments(path: str) -> tuple[str, ...]:
    path, _, _ = path.partition("?")
    if _ENCODED.search(path):
        raise BadURL("its path has percent signs that hide dots, slashes or control characters, or encode nothing")
    segments = tuple(path.split("/")[1:])
    if any(segment in (".", "..") for segment in segments):
        raise BadURL("its path has dot segments (. or ..)")
    return segments


def inner_problem(host: str) -> str | None:
    """Return why only a rule of the owner may allow the host, or None.

    Such a host is the fetcher itself, its cluster, or a service of its network."""
    if not host:
        return "it has no host"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _inner_name(host)
    return "its host is a loopback, link-local, metadata or otherwise special address" if _special(address) else None


def _inner_name(host: str) -> str | None:
    labels = host.split(".")
    if len(labels) == 1 or labels[-1] in _LOCAL_NAMES or not _TOP_LEVEL.fullmatch(labels[-1]):
        return "its host is a name inside a cluster or a local network"
    if "svc" in labels[1:] or labels[-2:] == ["cluster", "local"]:
        return "its host is a name inside a cluster"
    return None


def _special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (inner := _embedded(address)) is not None:
        return True if int(inner) < 2**24 else _special(inner)
    kinds = (address.is_loopback, address.is_link_local, address.is_unspecified, address.is_multicast, address.is_reserved)
    if any(kinds) or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local):
        return True
    if isinstance(address, ipaddress.IPv4Address) and int(address) < 2**24:
        return True
    return any(address in network for network in _METADATA)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address in an IPv6 address (mapped, compatible, translated, 6to4, Teredo), or
    None."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def bad_rule(rule: str) -> str | None:
    """Return the error of a rule of images.allow, or None.

    A rule is SCHEME://, HOST[:PORT], or the beginning of a URL."""
    if rule.lower() == "file://":
        return "file:// needs a path, such as file:///shared/html/images/"
    if _is_scheme(rule):
        return None
    if "?" in rule:
        return "a rule has no query (?)"
    try:
        location = _rule(rule)
    except BadURL as error:
        return f"not a scheme (https://), host (images.example.com) or URL prefix (https://images.example.com/os/): {error}"
    return None if location.host or (location.scheme == "file" and any(location.segments)) else "it has no host"


def _is_scheme(rule: str) -> bool:
    return rule.endswith("://") and _SCHEME.fullmatch(rule[:-3]) is not None


def _rule(rule: str) -> Location:
    """Return the parts of a host or URL prefix. Without a scheme, the scheme is empty."""
    if "://" in rule:
        return parse(rule)
    if "/" in rule:
        raise BadURL("a path needs a scheme before it")
    host, port = _host_and_port(rule)
    return Location("", host, port, ())


def _covers(rule: Location, location: Location) -> bool:
    """Return whether a host or prefix rule covers the URL.

    Host and port must be equal, and the path must match by whole segments."""
    schemes = (rule.scheme,) if rule.scheme else DEFAULT_SCHEMES
    if location.scheme not in schemes or (rule.host, _effective(rule, location)) != (location.host, _effective(location, location)):
        return False
    prefix = rule.segments[:-1] if rule.segments and rule.segments[-1] == "" else rule.segments
    return location.segments[: len(prefix)] == prefix


def _effective(location: Location, of: Location) -> int | None:
    """Return the port, by default that of the scheme."""
    return location.port or {"https": 443, "http": 80, "oci": 443}.get(of.scheme)


def url_problem(url: str, class_spec: Mapping[str, Any] | None, who: str = CLASS) -> str | None:
    """Return the rule that the URL violates as a phrase, or None if it may be fetched.

    Without a class, only URLs that no class could allow are refused."""
    try:
        location = parse(url)
    except BadURL as error:
        return str(error)
    if location.scheme in DEFAULT_SCHEMES and not location.host:
        return "it has no host"
    if class_spec is None:
        return None
    stated = (class_spec.get("images") or {}).get("allow")
    own = PROVIDER_SCHEMES.get(class_spec.get("provisioner") or "", ())
    rules = [f"{scheme}://" for scheme in (*DEFAULT_SCHEMES, *own)] if stated is None else stated
    named = [rule for rule in rules if not _is_scheme(rule)]
    if any(_covers(_rule(rule), location) for rule in named if bad_rule(rule) is None):
        return None
    if f"{location.scheme}://" not in [rule.lower() for rule in rules if _is_scheme(rule)]:
        return _not_allowed(rules, who, stated=stated is not None)
    if location.scheme in _CLOUD_IDS and location.host and not any(location.segments) and location.port is None:
        return None
    inner = inner_problem(location.host)
    return f"{inner}: use another host, or ask the owner of {who} to name this one in its images.allow" if inner else None


def _not_allowed(rules: Sequence[str], who: str, *, stated: bool) -> str:
    """Return the message for a URL that no rule covers.

    The message is the only place that shows what a class allows without a rule."""
    if not rules:
        return f"{who} allows no URL: ask its owner for a rule in images.allow"
    listed = ", ".join(rules[:MOST_RULES]) + (", …" if len(rules) > MOST_RULES else "")
    return f"{who} allows {listed}{'' if stated else ' (the default)'}: use such a URL, or ask its owner for a rule in images.allow"


def scrubbed(url: str) -> str:
    """Return a URL for records: at most SHOWN characters, and no user, password, query or fragment,
    which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()[:SHOWN]


def deploy_problems(spec: Mapping[str, Any], class_spec: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return what the class forbids, as pairs of a field and a phrase.

    `spec` is that of a Workload or BareMetalHost; its image and customDeploy are checked."""
    image, custom = spec.get("image") or {}, spec.get("customDeploy") or {}
    who = f'the class "{spec["className"]}"' if spec.get("className") else CLASS
    problems = _image_problems(image, class_spec, who) if image else []
    if custom and (problem := _method_problem(str(custom.get("method") or ""), class_spec, who)):
        problems.append(("customDeploy.method", problem))
    return problems


def missing_checksum(image: Mapping[str, Any] | None) -> bool:
    """Return whether BMO would refuse the image without a checksum.

    Only live ISOs and OCI images need none."""
    if not image:
        return False
    return not image.get("checksum") and image.get("format") != "live-iso" and not str(image.get("url") or "").startswith("oci://")


def checksum_problem(spec: Mapping[str, Any], class_spec: Mapping[str, Any] | None) -> str | None:
    """Return why an image without a checksum is refused, or None."""
    needed = class_spec is not None and class_spec.get("provisioner") in CHECKSUM_PROVISIONERS
    return MISSING_CHECKSUM if needed and missing_checksum(spec.get("image")) else None


def digest_problem(image: Mapping[str, Any] | None, before: Mapping[str, Any] | None = None) -> str | None:
    """Return why the checksum cannot be of its type, or None.

    A URL, and the stored checksum (`before`), are accepted. The check is made here, because the
    source would refuse the checksum only after it has downloaded the image."""
    image, before = image or {}, before or {}
    checksum, type_ = str(image.get("checksum") or ""), image.get("checksumType") or DEFAULT_CHECKSUM
    same = all(image.get(field) == before.get(field) for field in ("checksum", "checksumType"))
    if same or not _DIGEST.fullmatch(checksum):  # anything else is judged as a URL
        return None
    fitting = [name for name, digits in DIGITS.items() if len(checksum) == digits and _HEXADECIMAL.fullmatch(checksum)]
    if fitting and type_ in (fitting[0], AUTO):
        return None
    if fitting:
        return f"a digest of {len(checksum)} digits is none of checksumType {type_}: set spec.image.checksumType to {fitting[0]} or auto"
    wanted = [f"{digits} ({name})" for name, digits in DIGITS.items() if type_ in (name, AUTO)]
    return f"neither a URL nor a digest of {' or '.join(wanted)} hexadecimal digits: correct it, or give a URL that serves it"


def _image_problems(image: Mapping[str, Any], class_spec: Mapping[str, Any] | None, who: str) -> list[tuple[str, str]]:
    url, checksum = str(image.get("url") or ""), str(image.get("checksum") or "")
    problems = []
    if problem := url_problem(url, class_spec, who):
        problems.append(("image.url", problem))
    if checksum and not _DIGEST.fullmatch(checksum) and (problem := url_problem(checksum, class_spec, who)):
        problems.append(("image.checksum", f"neither a checksum nor a URL that may be fetched: {problem}"))
    if url[:6].lower() == "oci://" and checksum:
        problems.append(("image.checksum", "an OCI image is verified by its digest: leave the checksum out"))
    return problems


def _method_problem(method: str, class_spec: Mapping[str, Any] | None, who: str) -> str | None:
    if not _METHOD.fullmatch(method):
        return f"not a deploy method: at most {MAX_METHOD} lower-case letters, digits, -, _ and ., letters or digits first and last"
    if class_spec is None:
        return None
    methods = (class_spec.get("customDeploy") or {}).get("methods") or ()
    if method in methods:
        return None
    allowed = f"allows {', '.join(methods[:MOST_RULES])}: use one of these" if methods else "allows no deploy methods: use an image"
    return f"{who} {allowed}, or ask its owner to add the method to customDeploy.methods"
