"""Decide which headers pass between a client and kube-apiserver.

kube-apiserver gets the caller's own token, which was verified here, and no header by which a proxy
would vouch for a user.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from urllib.parse import urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

from apiserver.apis.status import bad_request, unauthorized
from apiserver.authentication.token import bearer

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
OPTIONS = frozenset({"keep-alive", "close", "upgrade", "te"})
"""The options of Connection that clients of Kubernetes send.

Other options name headers that a proxy must remove, such as Authorization."""
NOT_PASSED = HOP_BY_HOP | {"host", "authorization", "content-length", "expect", "audit-id", "x-forwarded-for"}
"""The headers that are not copied. The code that sends the body sets Content-Length.

With a Content-Length and no body, kube-apiserver would wait for a body, or read the next request as
one."""
VOUCHING = "x-remote-"
"""Headers by which a front proxy names a user to the server behind it."""
UPGRADES = frozenset({"spdy/3.1", "websocket"})
TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."
"""The WebSocket subprotocol in which browsers send a token, because they cannot set headers."""
NO_TOKEN = (
    "this endpoint knows callers by bearer tokens only, because it cannot pass a client certificate on to kube-apiserver: use a kubeconfig "
    "with a token, such as one of `kubectl create token`"
)


def credential(headers: CIMultiDictProxy[str]) -> tuple[str, bool]:
    """Return the caller's bearer token, "" if there is none, and whether a subprotocol contains it.

    The subprotocol of a WebSocket takes the place of Authorization. kube-apiserver reads it only in
    requests for a WebSocket. In any other request, it would take the caller for anonymous.

    Raises ApiError for more than one credential, because two readers could choose differently."""
    given, protocols = headers.getall("Authorization", ()), list(_token_protocols(headers))
    if len(given) + len(protocols) > 1:
        raise bad_request("the request has more than one credential: send one Authorization header, or one token as WebSocket protocol")
    if protocols and not given:
        return (_decoded(protocols[0]), True) if upgrade_of(headers).lower() == "websocket" else ("", False)
    return (bearer(given[0]) if given else ""), False


def to_upstream(
    headers: CIMultiDictProxy[str], token: str, *, in_protocol: bool, remote: str, audit_id: str, vouching: Iterable[str] = ()
) -> CIMultiDict[str]:
    """Return the headers of the request to kube-apiserver.

    `vouching` are more names and prefixes of headers of front proxies."""
    prefixes = (VOUCHING, *(name.lower() for name in vouching))
    found: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        lower = name.lower()
        if lower not in NOT_PASSED and not lower.startswith(prefixes):
            found.add(name, value)
    if not in_protocol:
        found["Authorization"] = f"Bearer {token}"
    found["X-Forwarded-For"] = ", ".join([*headers.getall("X-Forwarded-For", ()), remote])
    found["Audit-ID"] = audit_id
    if upgrade := upgrade_of(headers):
        found["Connection"], found["Upgrade"] = "Upgrade", upgrade
    return found


def upgrade_of(headers: CIMultiDictProxy[str]) -> str:
    """Return the protocol that the client wants to speak after the request, "" for none.

    Raises ApiError (400) for a protocol that is not one of kube-apiserver's streams."""
    wanted = ", ".join(headers.getall("Upgrade", ()))
    if not wanted or "upgrade" not in _options(headers):
        return ""
    if wanted.lower() not in UPGRADES:
        raise bad_request("the only protocols that a request may be upgraded to are SPDY/3.1 and websocket")
    return wanted


def to_client(headers: CIMultiDictProxy[str], upstream: str) -> CIMultiDict[str]:
    """Return the headers of the answer. A redirect within `upstream`, a URL, stays at this
    endpoint."""
    found: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        lower = name.lower()
        if lower not in HOP_BY_HOP and lower != "audit-id":
            found.add(name, _here(value, upstream) if lower == "location" else value)
    return found


def _here(location: str, upstream: str) -> str:
    try:
        found, own = urlsplit(location), urlsplit(upstream)
    except ValueError:
        return location
    if not found.netloc or (found.scheme, found.netloc) != (own.scheme, own.netloc):
        return location
    return found._replace(scheme="", netloc="").geturl()


def check_options(headers: CIMultiDictProxy[str]) -> None:
    """Raise ApiError (400) for a Connection header with options that are not in OPTIONS."""
    unknown = _options(headers) - OPTIONS
    if unknown:
        raise bad_request("the Connection header may say keep-alive, close and Upgrade only: nothing that names another header")


def _options(headers: CIMultiDictProxy[str]) -> set[str]:
    return {option.strip().lower() for text in headers.getall("Connection", ()) for option in text.split(",") if option.strip()}


def _token_protocols(headers: CIMultiDictProxy[str]) -> Iterable[str]:
    for text in headers.getall("Sec-WebSocket-Protocol", ()):
        for protocol in text.split(","):
            if protocol.strip().startswith(TOKEN_PROTOCOL):
                yield protocol.strip()


def _decoded(protocol: str) -> str:
    """Return the token in a subprotocol, which is base64url without padding."""
    encoded = protocol.removeprefix(TOKEN_PROTOCOL)
    try:
        token = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise unauthorized() from None
    return token
