"""Check which headers pass, where a request through a gateway would not show it."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from apiserver.apis.status import ApiError
from apiserver.gateway.headers import check_options, to_client, upgrade_of

UPSTREAM = "https://kube.example:6443"


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ((), ""),
        ((("Upgrade", "websocket"),), ""),
        ((("Upgrade", "h2c"), ("Connection", "keep-alive")), ""),
        ((("Connection", "Upgrade"),), ""),
        ((("Connection", "keep-alive, Upgrade"), ("Upgrade", "SPDY/3.1")), "SPDY/3.1"),
        ((("Connection", "keep-alive"), ("Connection", "upgrade"), ("Upgrade", "WebSocket")), "WebSocket"),
    ],
)
def test_an_upgrade_needs_both_headers(given: tuple[tuple[str, str], ...], protocol: str) -> None:
    assert upgrade_of(headers(*given)) == protocol


@pytest.mark.parametrize("protocols", [("h2c",), ("websocket, h2c",), ("websocket", "SPDY/3.1")])
def test_an_upgrade_to_another_protocol_is_refused(protocols: tuple[str, ...]) -> None:
    with pytest.raises(ApiError, match="websocket") as refused:
        upgrade_of(headers(("Connection", "Upgrade"), *(("Upgrade", protocol) for protocol in protocols)))
    assert refused.value.code == 400


def test_connection_names_no_header_to_remove() -> None:
    check_options(headers(("Connection", "Keep-Alive, Upgrade"), ("Connection", "close, TE")))
    with pytest.raises(ApiError) as refused:
        check_options(headers(("Connection", "close"), ("Connection", "Authorization")))
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (f"{UPSTREAM}/api/v1/x?y=1", "/api/v1/x?y=1"),
        ("/api/v1/x", "/api/v1/x"),
        ("http://kube.example:6443/x", "http://kube.example:6443/x"),
        ("https://other.example/x", "https://other.example/x"),
        ("https://[broken/x", "https://[broken/x"),
    ],
)
def test_a_redirect_within_kube_apiserver_stays_here(location: str, shown: str) -> None:
    assert to_client(headers(("Location", location)), UPSTREAM)["Location"] == shown
