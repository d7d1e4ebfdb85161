"""Machines that are made when they are asked for, offered as hosts: each flavor has so many slots,
and a slot looks like a server.

For providers of virtual machines. A class's flavors and the machines there are go in, the hosts to
report come out, purely; beside that, the notes that each such provider keeps (Attention, Offers,
Told). What the source is asked for is each provider's own business. See docs/providers.md.
"""

from controllers.providers.machines.flavors.answers import BOUND, NOT_OFFERED, REPLACING, moved, not_ours
from controllers.providers.machines.flavors.attention import Attention
from controllers.providers.machines.flavors.changes import differences
from controllers.providers.machines.flavors.hosts import Machine, machine_status, offered_slots, synthetic_host
from controllers.providers.machines.flavors.model import Flavor, FlavorNIC, distinct
from controllers.providers.machines.flavors.offers import Offers
from controllers.providers.machines.flavors.power import REBOOT, held_off
from controllers.providers.machines.flavors.slots import Slot, mac_address, slot_name, slot_named, slot_uid
from controllers.providers.machines.flavors.told import Told
from controllers.providers.machines.flavors.vanished import once_made

__all__ = [
    "BOUND",
    "NOT_OFFERED",
    "REBOOT",
    "REPLACING",
    "Attention",
    "Flavor",
    "FlavorNIC",
    "Machine",
    "Offers",
    "Slot",
    "Told",
    "differences",
    "distinct",
    "held_off",
    "mac_address",
    "machine_status",
    "moved",
    "not_ours",
    "offered_slots",
    "once_made",
    "slot_name",
    "slot_named",
    "slot_uid",
    "synthetic_host",
]
