"""Check the parameters of a cloud: what the driver does not know is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controllers.providers.machines.cloud.parameters import Parameters

SMALL = {"name": "small", "instanceType": "t3.small", "cpu": 2, "memory": "2Gi", "disk": "8Gi", "capacity": 1}


def parameters(**fields: Any) -> Parameters:
    return Parameters.decode({"region": "eu-central-1", "flavors": [SMALL], **fields})


@pytest.mark.parametrize("driver", ["ec2", "openstack"])
@pytest.mark.parametrize("endpoint", ["http://cloud.example", "ftp://127.0.0.1", "https://h/?path", "cloud.example"])
def test_credentials_go_to_https_endpoints_only(endpoint: str, driver: str) -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        parameters(endpoint=endpoint, driver=driver)


@pytest.mark.parametrize(
    ("fields", "reported"),
    [
        ({"driver": "openstack"}, "needs the URL of Keystone"),
        ({"driver": "openstack", "endpoint": "https://c:5000/v3", "subnet": "s"}, "subnet: driver openstack does not have that"),
        ({"driver": "openstack", "endpoint": "https://c/identity", "publicAddress": True}, "networks to one that has public addresses"),
        ({"driver": "openstack", "endpoint": "https://c", "networks": ["a", "b"]}, "at most 1 item"),
        ({"endpoint": "https://c/identity"}, "has no path"),
        ({"networks": ["a"]}, "set subnet instead"),
        ({"driver": "azure"}, "'ec2' or 'openstack'"),
    ],
)
def test_what_the_driver_does_not_know_is_refused(fields: dict[str, Any], reported: str) -> None:
    with pytest.raises(ValidationError, match=reported):
        parameters(**fields)
