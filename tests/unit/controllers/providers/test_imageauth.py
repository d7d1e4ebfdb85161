"""Check which part of a secret with a registry's credentials is passed on, whatever it contains."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.providers.base import ApplyRequest, ProviderError, Source
from controllers.providers.imageauth import MOST, image_auth
from tests.unit.controllers.clusters import workload

MINE = base64.b64encode(b"me:pass").decode()


def request(data: dict[str, bytes] | None, url: str = "oci://registry.example.com/os:1") -> ApplyRequest:
    made = workload("w", image={"url": url, "ociAuthSecretName": "pull"})
    return ApplyRequest(made, Source("metal3", "h", "r"), {}, view_name="n", view_uid="u", image_auth=data)


def config(**auths: Any) -> dict[str, bytes]:
    return {".dockerconfigjson": orjson.dumps({"auths": auths, "credHelpers": {"registry.example.com": "evil"}, "credsStore": "evil"})}


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("registry.example.com", "oci://registry.example.com/os:1"),
        ("https://registry.example.com", "oci://registry.example.com/os:1"),
        ("https://registry.example.com/v2/", "oci://registry.example.com/os:1"),
        ("registry.example.com:5000", "oci://registry.example.com:5000/os@sha256:0"),
        ("https://index.docker.io/v1/", "oci://docker.io/library/os:1"),
        ("docker.io", "oci://index.docker.io/library/os:1"),
    ],
)
@pytest.mark.parametrize("entry", [{"auth": MINE}, {"username": "me", "password": "pass"}])
def test_the_entry_of_the_registry_alone_is_passed_on(key: str, url: str, entry: dict[str, str]) -> None:
    made = image_auth(request(config(**{"other.example.com": {"auth": "b3RoZXI6eA=="}, key: entry}), url))
    assert made is not None
    (found,) = orjson.loads(made)["auths"].items()
    assert found[1] == {"auth": MINE}
    wanted = "https://index.docker.io/v1/" if "docker.io" in url else url.split("/")[2]
    assert found[0] == wanted, "the key that BMO looks up"
    assert b"evil" not in made


def test_the_older_form_is_read_as_well() -> None:
    made = image_auth(request({".dockercfg": orjson.dumps({"registry.example.com": {"auth": MINE}})}))
    assert made == orjson.dumps({"auths": {"registry.example.com": {"auth": MINE}}})


def test_no_secret_is_no_configuration() -> None:
    assert image_auth(request(None)) is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"other": b"s3cret"},
        {".dockerconfigjson": b"s3cret"},
        {".dockerconfigjson": b"[]"},
        {".dockerconfigjson": b'{"auths": ["s3cret"]}'},
        {".dockerconfigjson": b" " * (MOST + 1)},
        {".dockerconfigjson": b"[" * 100_000},
        config(),
        config(**{"registry.example.com.evil.example": {"auth": MINE}}),
        config(**{"evil.example/registry.example.com": {"auth": MINE}}),
        config(**{"registry.example.com:5000": {"auth": MINE}}),
        config(**{"registry.example.com": "s3cret"}),
        config(**{"registry.example.com": {"auth": "s3cret"}}),
        config(**{"registry.example.com": {"auth": base64.b64encode(b"s3cret").decode()}}),
        config(**{"registry.example.com": {"username": 1, "password": []}}),
        config(**{"registry.example.com": {"identitytoken": "s3cret"}}),
    ],
)
def test_what_cannot_be_used_is_named_and_not_quoted(data: dict[str, bytes]) -> None:
    with pytest.raises(ProviderError) as caught:
        image_auth(request(data))
    assert caught.value.reason == "InvalidSecret"
    assert "pull" in caught.value.message
    assert "s3cret" not in caught.value.message


@given(
    st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_any_json_is_read_or_refused(content: Any) -> None:
    try:
        image_auth(request(config(**{"registry.example.com": content})))
        image_auth(request({".dockerconfigjson": orjson.dumps(content, default=str)}))
    except (ProviderError, orjson.JSONEncodeError):
        pass
