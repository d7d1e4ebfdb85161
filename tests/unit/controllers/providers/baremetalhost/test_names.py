"""Check marks on real hosts: what is written is read back, and marks of earlier versions belong to
no management cluster."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.report import Policy, dirty_mark, provider_host
from tests.unit.controllers.clusters import bmh

UID = "7d1f5f0e-6d0c-4f43-9c5e-0d8f0f3c8a11"
labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", fullmatch=True) | st.uuids().map(str)


@given(cluster=st.text(max_size=63), namespace=labels, uid=st.uuids().map(str))
def test_a_written_mark_is_parsed_back(cluster: str, namespace: str, uid: str) -> None:
    assert names.parsed_mark(names.dirty_mark(cluster, namespace, uid)) == (cluster, namespace, uid)


@pytest.mark.parametrize(
    ("mark", "read"),
    [
        ("team-a", ("", "team-a", "")),
        ("east/team-a", ("east", "team-a", "")),
        (f"{UID}/team-a", (UID, "team-a", "")),
        (UID, ("", UID, "")),
        ("a/b/team-a", ("a/b", "team-a", "")),
        (f"team-a/{UID}", ("", "team-a", UID)),
    ],
)
def test_marks_of_earlier_versions_have_no_uid(mark: str, read: tuple[str, str, str]) -> None:
    assert names.parsed_mark(mark) == read


def test_the_uid_is_reported() -> None:
    made = bmh("h1")
    made["metadata"]["uid"] = str(uuid.uuid4())
    made["metadata"]["annotations"][names.DIRTY_FOR] = f"east/team-a/{UID}"
    assert dirty_mark(made, Identity("east")) == ("team-a", UID)
    assert dirty_mark(made, Identity("west")) is None
    found = provider_host(made, Policy(identity=Identity("east")))
    assert (found.available, found.dirty_for, found.dirty_for_uid) == (True, "team-a", UID)
