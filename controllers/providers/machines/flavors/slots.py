"""Derive the identity of a machine before it exists: a slot's uid, name and MAC addresses.

They are computed from the place of the class's machines (see `slot_uid`), the flavor's name and the
slot's number. So they never change and need not be stored. Restarted controllers, and a class that
is created again after its deletion, find the same hosts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

IDENTITY = uuid.UUID("8f0d9a5e-5b0e-5c55-9d6b-9f2c6f0f7a41")


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The place for one machine of a flavor (by name).

    `index` counts from 0, and may exceed the flavor's current capacity."""

    flavor: str
    index: int


def slot_name(slot: Slot) -> str:
    """Return the host's name, such as small-0, which is unique in the class."""
    return f"{slot.flavor}-{slot.index}"


def slot_named(name: str) -> Slot:
    """Return the slot with this host's name."""
    flavor, _, number = name.rpartition("-")
    return Slot(flavor, int(number) if number.isdecimal() else 0)


def slot_uid(place: str, slot: Slot) -> str:
    """Return the host's uid.

    `place` identifies the owner of these slots: two classes with the same place have the same
    hosts. Build it from the class's name and the place of its machines, such as a namespace or
    region. Otherwise, a class whose parameters name a new place would mistake machines there for
    the old ones."""
    return str(uuid.uuid5(IDENTITY, f"{place}\n{slot.flavor}\n{slot.index}"))


def mac_address(uid: str, nic: int) -> str:
    """Return the MAC address of a slot's NIC (counted from 0), for sources that accept a chosen
    address.

    The address is unicast and locally administered."""
    digest = uuid.uuid5(IDENTITY, f"{uid}\nnic {nic}").bytes
    return ":".join(f"{byte:02x}" for byte in (digest[0] & 0xFC | 0x02, *digest[1:6]))
