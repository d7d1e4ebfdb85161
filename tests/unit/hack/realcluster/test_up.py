"""Check the description of a cluster over restarts."""

from __future__ import annotations

from hack.realcluster.up import with_pid


def test_a_pid_is_replaced_wherever_it_stands_and_nothing_else() -> None:
    before = {
        "management": {"pid": 7, "server": "https://127.0.0.1:7"},
        "etcd": {"pids": [5, 7]},
        "tenants": {"pid7": "7"},
        "controllers": {"pids": []},
    }
    after = {
        "management": {"pid": 9, "server": "https://127.0.0.1:7"},
        "etcd": {"pids": [5, 9]},
        "tenants": {"pid7": "7"},
        "controllers": {"pids": []},
    }
    assert with_pid(before, 7, 9) == after
    assert with_pid(before, 8, 9) == before
