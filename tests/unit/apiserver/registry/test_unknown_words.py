"""Check that words which a later BMO has in its enums are shown as they are. Longer ones, and
others than printable ASCII, are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apiserver.apis.host import HostReport
from apiserver.apis.status import ApiError
from tests.unit.apiserver.registry.conftest import CONSUMER, IMAGE, Registries, report

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=128)


def with_word(word: str) -> dict[str, Any]:
    """Return a report that has the word wherever BMO has an enum."""
    image = {**IMAGE, "checksumType": word, "format": word}
    hardware = {"storage": [{"name": "sda", "type": word}]}
    raid = {"hardwareRAIDVolumes": [{"level": word}], "softwareRAIDVolumes": [{"level": word}]}
    made = report(operationalStatus=word, errorType=word, hardware=hardware)
    made["status"]["provisioning"] |= {"bootMode": word, "image": image, "raid": raid}
    made["spec"] |= {"bootMode": word, "automatedCleaningMode": word}
    return made


@given(WORDS)
def test_what_bmo_reports_is_stored_as_it_is(word: str) -> None:
    made = with_word(word)
    assert HostReport.decode(made).encode()["status"]["errorType"] == word
    assert HostReport.decode(made).encode()["spec"] == made["spec"]


@pytest.mark.parametrize("word", ["x" * 129, "two\nlines", "\x1b[31m", "\u202e"])
def test_words_are_bounded(word: str) -> None:
    with pytest.raises(ValidationError):
        HostReport.decode(with_word(word))


async def test_a_claim_continues_beside_them(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.report(host, {"available": True, "report": with_word("of a later BMO")})
    view = await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)
    assert view["status"]["operationalStatus"] == "of a later BMO"
    assert view["spec"]["automatedCleaningMode"] == "of a later BMO"
    view = await registries.patch_view("tenant-a", "node-0", online=False)
    assert view["spec"]["online"] is False
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", automatedCleaningMode="whatever a tenant thinks")
    assert refused.value.code == 422
