"""Define workload.metal3.io/v1alpha1 UsageRecord, the times in which namespaces had a machine.

Tenants cannot read records, and only the server writes them. A record has the name of the machine's
Host. It remains when the Host, its Workloads, their classes and their namespaces are deleted.
"""

from __future__ import annotations

from pydantic import Field

from apiserver.apis.base import Model, Timestamp
from apiserver.apis.meta import ObjectMeta

HOLDER = ("namespace", "namespaceUID", "className", "size")
"""The fields of a Holder."""
AMOUNTS = ("allocatedSeconds", "poweredOnSeconds")
"""The fields of an Interval that sums add up."""


class Holder(Model):
    """A namespace that had the host, and the class and the size of the host at that time."""

    namespace: str = Field(
        description="The namespace. Empty for the sum of several namespaces: a full record sums up its oldest intervals."
    )
    namespace_uid: str | None = Field(default=None, alias="namespaceUID", description="The uid of the namespace at the claim.")
    class_name: str | None = Field(default=None, description="The WorkloadClass that offered the host.")
    size: str | None = Field(default=None, description="The kind of host: its CPUs, memory and disk space, as in the column Size of Hosts.")


class Present(Holder):
    """The namespace that has the host."""

    powered_on: bool = Field(default=False, description="Whether the host is powered on.")
    since: Timestamp = Field(description="Since when namespace, class, size and power are as stated.")


class Interval(Holder):
    """A time in which one namespace had the host.

    When the record becomes too large, old intervals of one holder are summed up by day, then by
    month, in UTC. In such a sum, allocatedSeconds may be less than the time between `from` and
    `to`."""

    start: Timestamp = Field(alias="from", description="The beginning.")
    end: Timestamp = Field(alias="to", description="The end, which is not part of the interval.")
    allocated_seconds: int = Field(ge=0, description="The seconds for which the namespace had the host.")
    powered_on_seconds: int = Field(default=0, ge=0, description="The part of allocatedSeconds for which the host was powered on.")


class UsageSpec(Model):
    """The use of one host."""

    host: str = Field(default="", description="The host's name at its source.")
    current: Present | None = Field(default=None, description="The namespace that has the host now, if one has it.")
    intervals: list[Interval] | None = Field(default=None, description="The ended intervals, the oldest first; at most 64 KiB.")


class UsageRecord(Model):
    """The use of one machine: when which namespaces had it, and how long it was powered on."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: UsageSpec
