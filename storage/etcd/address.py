"""Parse the URL by which the command line names an EtcdStore.

The parser reads a password file but connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from storage.etcd.store import EtcdStore
from storage.etcd.tls import TLS

FORM = "etcd://HOST:PORT[,HOST:PORT...][/PREFIX][?ca=FILE&cert=FILE&key=FILE&user=NAME&password-file=FILE&timeout=S&keep-history=S]"
SCHEMES = ("etcd", "etcds")
DEFAULT_PREFIX = "/metal3-workloads"

_FILES = ("ca", "cert", "key", "password-file")
_SECONDS = ("timeout", "keep-history")
_KNOWN = (*_FILES[:3], "user", _FILES[3], *_SECONDS)


def store_at(url: str) -> EtcdStore:
    """Return the store at `url`, not yet started. FORM describes the URL.

    The scheme etcds:// means etcd:// with TLS, which `ca` and `cert` imply too. All keys are stored
    below PREFIX, or below DEFAULT_PREFIX if there is none (the Store's keys begin with a slash).
    `keep-history` is in seconds; 0 leaves compaction to another program.

    Raises ValueError with a message that says what to change and shows no secret."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"give {FORM}")
    if "@" in parts.netloc:
        raise ValueError("the URL is visible to all users of the machine: use ?user=NAME&password-file=FILE")
    if parts.fragment:
        raise ValueError("the URL has a #: write it as %23")
    options = _options(parts.query)
    tls = _tls(options, wanted=parts.scheme == "etcds")
    seconds: dict[str, Any] = {name.replace("-", "_"): _number(name, options[name]) for name in _SECONDS if name in options}
    return EtcdStore(
        _endpoints(parts.netloc),
        prefix=unquote(parts.path).rstrip("/") or DEFAULT_PREFIX,
        tls=tls,
        user=options.get("user", ""),
        password=_password(options),
        **seconds,
    )


def _endpoints(netloc: str) -> list[str]:
    endpoints = netloc.split(",")
    if not all(endpoints):
        raise ValueError(f"an etcd endpoint is missing: give {FORM}")
    return endpoints


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if unknown := sorted(options.keys() - {*_KNOWN}):
        raise ValueError(f"there is no option {unknown[0]!r}; there are {', '.join(_KNOWN)}")
    if len(options) < len(pairs):
        raise ValueError("an option is given twice")
    if empty := [name for name in options if not options[name]]:
        raise ValueError(f"the option {empty[0]!r} has no value")
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"{name}: there is no file {options[name]}")
    return options


def _tls(options: Mapping[str, str], *, wanted: bool) -> TLS | None:
    if ("cert" in options) != ("key" in options):
        raise ValueError("cert and key come together: give both, or neither")
    if wanted or "ca" in options or "cert" in options:
        return TLS(options.get("ca"), options.get("cert"), options.get("key"))
    return None


def _password(options: Mapping[str, str]) -> str:
    if ("user" in options) != ("password-file" in options):
        raise ValueError("user and password-file come together: give both, or neither")
    return Path(options["password-file"]).read_text().strip("\r\n") if "password-file" in options else ""


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e9 or (name == "timeout" and value == 0):
        raise ValueError(f"{name} is a number of seconds, not {text!r}")
    return value
