"""Check the version and build information that the program reports."""

from __future__ import annotations

from apiserver.apis.build import Build

STAMP = {"METAL3_WORKLOADS_COMMIT": "0123abcd", "METAL3_WORKLOADS_DATE": "2026-11-29T09:00:00Z", "METAL3_WORKLOADS_TREE": "clean"}


def test_a_stamped_build_names_its_commit_and_date() -> None:
    build = Build.stamped(STAMP)
    assert build == Build("0123abcd", "2026-11-29T09:00:00Z", "clean")
    assert str(build) == "commit 0123abcd, 2026-11-29T09:00:00Z"


def test_local_changes_are_part_of_the_version() -> None:
    assert str(Build.stamped({**STAMP, "METAL3_WORKLOADS_TREE": "dirty"})) == "commit 0123abcd with local changes, 2026-11-29T09:00:00Z"


def test_a_checkout_says_that_it_is_no_release() -> None:
    for environment in ({}, {"METAL3_WORKLOADS_COMMIT": ""}, {**STAMP, "METAL3_WORKLOADS_COMMIT": ""}):
        build = Build.stamped(environment)
        assert (build.commit, build.date, build.tree) == ("", "1970-01-01T00:00:00Z", "")
        assert "not a release" in str(build)


def test_a_stamp_without_a_date_claims_none() -> None:
    assert Build.stamped({"METAL3_WORKLOADS_COMMIT": "0123abcd"}).date == "1970-01-01T00:00:00Z"
