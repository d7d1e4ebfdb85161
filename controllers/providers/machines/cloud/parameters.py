"""Define the `parameters` of a WorkloadClass with provisioner metal3.io/cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from apiserver.apis.base import Model
from controllers.providers.machines.flavors import Flavor, FlavorNIC, distinct

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9._]*$", max_length=63)]


def _https(endpoint: str) -> str:
    url = urlsplit(endpoint)
    if not url.hostname or url.scheme not in {"http", "https"} or url.query:
        raise ValueError("not an endpoint: write https://HOST or https://HOST:PORT")
    if not is_safe(endpoint):
        raise ValueError("credentials go to an https endpoint only (http is for a simulation on this very machine)")
    return endpoint


def is_safe(url: str) -> bool:
    """Return whether credentials may be sent to this URL."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


class CloudFlavor(Flavor):
    """One kind of instance.

    CPU, memory and disk are what hosts promise. The cloud knows only the name of the type."""

    instance_type: Id = Field(description="The cloud's name or id of it, such as m7i.large.")
    architecture: Literal["x86_64", "aarch64"] = "x86_64"
    nics: Sequence[FlavorNIC] = Field(default_factory=lambda: [FlavorNIC()], min_length=1, max_length=1)


class CloudImage(Model):
    """The cloud's image for the URL of an image, for Workloads that run on servers as well."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, description="spec.image.url of Workloads.")
    id: Id = Field(description="The image's id in the cloud, such as ami-0123456789abcdef0.")


class Parameters(Model):
    """The cloud, the place in it, and what is offered of it."""

    model_config = ConfigDict(extra="forbid")

    driver: Literal["ec2", "openstack"] = Field(
        default="ec2", description="The kind of cloud: EC2 (or a cloud with its API), or OpenStack."
    )
    region: Id = Field(description="Such as eu-central-1, or RegionOne.")
    endpoint: Annotated[str, AfterValidator(_https)] | None = Field(
        default=None,
        description="URL of the API. For EC2, the region's own when empty; for OpenStack, the URL of Keystone, which is required.",
    )
    identity: str = Field(
        default="", max_length=63, description="Name of this management cluster, when several have a class of one name in the region."
    )
    flavors: Annotated[list[CloudFlavor], AfterValidator(distinct)] = Field(description="The kinds of machines on offer.", min_length=1)
    images: list[CloudImage] = Field(default_factory=list, description="The cloud's images for URLs of images.")
    tenant_images: bool = Field(default=False, description="Whether Workloads may name an image of the cloud themselves, as ami://ID.")
    subnet: Id | None = Field(default=None, description="Where machines are put in EC2; the default subnet when empty.")
    networks: Annotated[list[Id], Field(max_length=1)] = Field(
        default_factory=list, description="Network of machines in OpenStack, by id; the project's only one when empty."
    )
    security_groups: list[Id] = Field(
        default_factory=list, description="By id; in EC2 they need a subnet. The account's default one when empty."
    )
    public_address: bool = Field(default=False, description="Whether machines get a public IPv4 address, in EC2.")
    poll_seconds: float = Field(default=15.0, ge=0.5, le=3600.0, description="Seconds between two requests for the list of instances.")

    @model_validator(mode="after")
    def _fit_the_driver(self) -> Self:
        """Refuse parameters of another kind of cloud, which would be ignored silently."""
        if self.driver == "openstack":
            if self.endpoint is None:
                raise ValueError("endpoint: driver openstack needs the URL of Keystone, such as https://cloud.example.com:5000")
            unknown = [name for name, value in (("subnet", self.subnet), ("publicAddress", self.public_address)) if value]
        else:
            if self.endpoint is not None and urlsplit(self.endpoint).path.strip("/"):
                raise ValueError("endpoint: EC2's has no path: write https://HOST or https://HOST:PORT")
            unknown = ["networks"] if self.networks else []
        if unknown:
            raise ValueError(f"{unknown[0]}: driver {self.driver} does not have that: set {_INSTEAD[unknown[0]]}")
        return self


_INSTEAD = {
    "subnet": "networks instead",
    "publicAddress": "networks to one that has public addresses instead",
    "networks": "subnet instead",
}
