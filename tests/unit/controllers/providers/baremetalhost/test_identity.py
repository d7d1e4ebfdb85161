"""Check which marks on shared hosts belong to this management cluster: by the given name, by the
cluster's id, and by marks that predate names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controllers.providers.baremetalhost.identity import identity_of

NAMES = st.text("abc-", min_size=1, max_size=3)


@given(NAMES, NAMES)
def test_without_a_name_the_id_is_written_and_what_has_no_name_is_ones_own(cluster_id: str, other: str) -> None:
    identity = identity_of("", cluster_id)
    assert identity.name == cluster_id
    assert identity.owns(cluster_id)
    assert identity.owns(""), "claims from before ids were written"
    assert identity.owns(other) == (other == cluster_id)


@given(NAMES, NAMES, NAMES)
def test_with_a_name_what_bears_the_id_is_ones_own_still(given_: str, cluster_id: str, other: str) -> None:
    identity = identity_of(given_, cluster_id)
    assert identity.name == given_
    assert identity.owns(given_)
    assert identity.owns(cluster_id), "claims from before the name was given"
    assert identity.owns(other) == (other in (given_, cluster_id))
    assert not identity.owns(""), "another cluster's, which has not been given a name"


@given(st.sampled_from(["", "east"]))
def test_without_an_id_only_the_name_counts(given_: str) -> None:
    identity = identity_of(given_, "")
    assert (identity.name, identity.former - {""}) == (given_, frozenset())
    assert identity.owns("") == (given_ == "")
