"""Machines that are made when they are asked for, offered as hosts: each flavor has so many slots, and a slot looks like a server.

For providers of virtual machines. Pure: a class's flavors and the machines there are go in, the hosts to report come out. What the
source is asked for is each provider's own business. See docs/providers.md.
"""

from controllers.providers.flavors.changes import differences
from controllers.providers.flavors.hosts import Machine, machine_status, offered_slots, synthetic_host, synthetic_hosts
from controllers.providers.flavors.model import Flavor, FlavorNIC, distinct
from controllers.providers.flavors.slots import Slot, mac_address, slot_name, slot_uid
from controllers.providers.flavors.vanished import once_made

__all__ = [
    "Flavor",
    "FlavorNIC",
    "Machine",
    "Slot",
    "differences",
    "distinct",
    "mac_address",
    "machine_status",
    "offered_slots",
    "once_made",
    "slot_name",
    "slot_uid",
    "synthetic_host",
    "synthetic_hosts",
]
