"""Offer machines that are created on demand as hosts: each flavor has a number of slots, and a slot
looks like a server.

The package is for providers of virtual machines. It converts a class's flavors and the existing
machines into the hosts to report. It also has the state that each such provider keeps in memory
(SlotRequeuer, Offers, OutcomeCache). The requests to the source are up to each provider. See
docs/providers.md.
"""

from apiserver.apis.names import REBOOT
from controllers.providers.machines.flavors.changes import differences
from controllers.providers.machines.flavors.hosts import Machine, machine_status, offered_slots, synthetic_host
from controllers.providers.machines.flavors.model import Flavor, FlavorNIC, distinct
from controllers.providers.machines.flavors.offers import Offers
from controllers.providers.machines.flavors.outcomecache import OutcomeCache
from controllers.providers.machines.flavors.outcomes import BOUND, NOT_OFFERED, REPLACING, class_moved, not_ours
from controllers.providers.machines.flavors.power import held_off
from controllers.providers.machines.flavors.provisioned import was_provisioned
from controllers.providers.machines.flavors.requeuer import SlotRequeuer
from controllers.providers.machines.flavors.slots import Slot, mac_address, slot_name, slot_named, slot_uid

__all__ = [
    "BOUND",
    "NOT_OFFERED",
    "REBOOT",
    "REPLACING",
    "Flavor",
    "FlavorNIC",
    "Machine",
    "Offers",
    "OutcomeCache",
    "Slot",
    "SlotRequeuer",
    "class_moved",
    "differences",
    "distinct",
    "held_off",
    "mac_address",
    "machine_status",
    "not_ours",
    "offered_slots",
    "slot_name",
    "slot_named",
    "slot_uid",
    "synthetic_host",
    "was_provisioned",
]
