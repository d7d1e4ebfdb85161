"""Who a machine is before it exists: a slot's uid, name and MAC addresses. Pure, and the same for ever.

They follow from where the class's machines are (see `slot_uid`), the flavor's name and the slot's number, so that nothing has to be
stored, and controllers that start anew, or a class that is made again after it was deleted, find the same hosts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

__all__ = ["Slot", "mac_address", "slot_name", "slot_named", "slot_uid"]

IDENTITY = uuid.UUID("8f0d9a5e-5b0e-5c55-9d6b-9f2c6f0f7a41")


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """Room for one machine of a flavor (by name); `index` counts from 0 and may be beyond what the flavor has now."""

    flavor: str
    index: int


def slot_name(slot: Slot) -> str:
    """The host's name, such as small-0: unique in the class."""
    return f"{slot.flavor}-{slot.index}"


def slot_named(name: str) -> Slot:
    """The slot with this host's name."""
    flavor, _, number = name.rpartition("-")
    return Slot(flavor, int(number) if number.isdecimal() else 0)


def slot_uid(place: str, slot: Slot) -> str:
    """The host's uid.

    `place` says whose slots these are; two classes with the same place have the same hosts. Make it of the class's name and of where its
    machines live (such as a namespace or region), so that a class that is pointed elsewhere does not take new machines for the old."""
    return str(uuid.uuid5(IDENTITY, f"{place}\n{slot.flavor}\n{slot.index}"))


def mac_address(uid: str, nic: int) -> str:
    """The MAC address of a slot's NIC (counted from 0), for sources that let one choose: unicast, locally administered."""
    digest = uuid.uuid5(IDENTITY, f"{uid}\nnic {nic}").bytes
    return ":".join(f"{byte:02x}" for byte in (digest[0] & 0xFC | 0x02, *digest[1:6]))
