"""Check flavors as owners write them: what is accepted, what is refused, and which differences from
its machines are reported."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controllers.providers.machines.flavors import Flavor, differences, distinct


def flavor(**fields: Any) -> Flavor:
    return Flavor.decode({"name": "small", "cpu": 2, "memory": "4Gi", "disk": "40Gi", "capacity": 2, **fields})


def test_sizes_and_defaults() -> None:
    made = flavor()
    assert (made.memory_mebibytes, made.disk_bytes) == (4096, 40 * 2**30)
    assert (made.architecture, [nic.name for nic in made.nics], made.labels) == ("x86_64", ["eth0"], {})
    assert Flavor.decode(made.encode()) == made


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Small"},
        {"name": ""},
        {"name": "a" * 41},
        {"cpu": 0},
        {"cpu": "2"},
        {"memory": 4},
        {"memory": "4 Gi"},
        {"disk": "1Ki"},
        {"capacity": -1},
        {"capacity": 10_001},
        {"architecture": "amd64"},
        {"labels": {"spaces are": "wrong"}},
        {"labels": {"key": "-"}},
        {"nics": [{"name": ""}]},
        {"cpus": 2},
    ],
)
def test_invalid_flavors_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        flavor(**fields)


def test_names_have_to_differ() -> None:
    small, large = flavor(), flavor(name="large")
    assert distinct([small, large]) == [small, large]
    with pytest.raises(ValueError, match="'small'"):
        distinct([small, large, flavor(cpu=4)])


def test_differences_are_those_of_the_machine() -> None:
    assert differences(flavor(), flavor(capacity=9, labels={"kind": "vm"})) == []
    assert differences(flavor(), flavor(memory="4096Mi")) == []
    assert differences(flavor(), flavor(cpu=4, disk="1Ti")) == ["cpu 2 → 4", "disk 40Gi → 1Ti"]
    assert differences(flavor(), flavor(nics=[{"name": "eth0"}, {"name": "eth1"}])) == ["nics"]
