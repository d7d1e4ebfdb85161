"""Define what a class offers of machines that do not exist yet: sizes, labels and capacity.

A provider subclasses Flavor (and FlavorNIC) to add what its source needs, such as an instance type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from apiserver.apis.base import DNS_LABEL, Model, Quantity
from apiserver.apis.quantity import MI, parse_quantity

MOST = 10_000
"""The most slots of one flavor. Each is a Host object, and a view where it is offered."""

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[str, StringConstraints(pattern=rf"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_NAME}$", max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=rf"^({_NAME})?$", max_length=63)]


def _a_mebibyte_at_least(value: int | str) -> int | str:
    if parse_quantity(value) < MI:
        raise ValueError("too small: give bytes with a suffix, such as 4Gi")
    return value


Size = Annotated[Quantity, AfterValidator(_a_mebibyte_at_least)]
"""A number of bytes as a quantity. A number without suffix is most likely a mistake."""


class FlavorNIC(Model):
    """One network interface of each machine."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="eth0", min_length=1, max_length=15, description="Its name in the report, and in a data template.")


class Flavor(Model):
    """One kind of machine that the class can create, and how many of them."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=40)] = Field(description="Machines are named NAME-0, NAME-1, …")
    cpu: int = Field(ge=1, le=4096, description="Number of CPUs.")
    memory: Size = Field(description="Memory, such as 8Gi.")
    disk: Size = Field(description="Size of the root disk, such as 40Gi.")
    architecture: Literal["x86_64", "aarch64", "ppc64le", "s390x"] = "x86_64"
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels of the hosts, for hostSelector. Tenants see all of them."
    )
    capacity: int = Field(ge=0, le=MOST, description="How many of these machines may exist at a time; 0 to make no more.")
    nics: Sequence[FlavorNIC] = Field(default_factory=lambda: [FlavorNIC()], max_length=16)

    @property
    def memory_mebibytes(self) -> int:
        """Return the memory in MiB, rounded down."""
        return int(parse_quantity(self.memory)) // MI

    @property
    def disk_bytes(self) -> int:
        """Return the size of the root disk in bytes."""
        return int(parse_quantity(self.disk))


AnyFlavor = TypeVar("AnyFlavor", bound=Flavor)


def distinct(flavors: list[AnyFlavor]) -> list[AnyFlavor]:
    """Return the flavors if their names differ; a validator for lists of flavors. Raises
    ValueError."""
    names = [flavor.name for flavor in flavors]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two flavors are named {twice[0]!r}: names have to differ")
    return flavors
