"""Cover images and first-boot data in a cloud."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.providers.base import ProviderError, Source
from controllers.providers.machines.cloud.images import image_id, user_data
from controllers.providers.testing import claim
from tests.unit.controllers.providers.machines.cloud.test_parameters import parameters

URL = "http://images.example/os"
MOST = 16 * 1024


def test_images_are_found_in_the_class_or_by_id() -> None:
    known = parameters(images=[{"url": URL, "id": "ami-1"}], tenantImages=True)
    assert image_id({"image": {"url": URL}}, known, "ami://") == "ami-1"
    assert image_id({"image": {"url": "ami://ami-2"}}, known, "ami://") == "ami-2"
    assert image_id({}, known, "ami://") is None
    for spec, reason in (
        ({"image": {"url": "http://other"}}, "ImageUnknown"),
        ({"customDeploy": {"method": "x"}}, "CustomDeployUnsupported"),
        ({"image": {"url": "ami://" + "x" * 300}}, "ImageUnsupported"),
    ):
        with pytest.raises(ProviderError) as error:
            image_id(spec, known, "ami://")
        assert error.value.reason == reason
    with pytest.raises(ProviderError):
        image_id({"image": {"url": "ami://ami-2"}}, parameters(), "ami://")


def _request(text: bytes) -> Any:
    return claim("w", Source("r", "small-0", "uid"), secrets={"userData": {"userData": text}, "metaData": {"metaData": b"rack: r7"}})


def test_metadata_is_filled_into_templates_for_cloud_init() -> None:
    text = (
        b"## template: jinja\n#cloud-config\nid: {{ ds.meta_data.uuid }} {{ds.meta_data['rack']}} {{ ds.meta_data.none }} {{ v1.region }}"
    )
    assert user_data(_request(text), MOST).endswith(b"id: view-uid r7 {{ ds.meta_data.none }} {{ v1.region }}")
    assert user_data(_request(b"{{ ds.meta_data.uuid }}"), MOST) == b"{{ ds.meta_data.uuid }}", "not a template"


@given(st.binary(max_size=200))
def test_other_user_data_is_passed_as_it_is(text: bytes) -> None:
    if not text.startswith(b"## template: jinja"):
        assert user_data(_request(text), MOST) == text


def test_long_user_data_is_packed_or_refused() -> None:
    text = b"#cloud-config\n" + b"x" * 2 * MOST
    assert gzip.decompress(user_data(_request(text), MOST)) == text
    with pytest.raises(ProviderError, match="user data"):
        user_data(_request(b'{"ignition": "' + b"x" * MOST + b'"}'), MOST)
