"""Explain the error of a machine in a cloud, to its tenant and to the owner of the cloud."""

from __future__ import annotations

TENANTS = "the machine has failed: ask its owner, who sees why, or reboot it"
QUARANTINE = "a Workload with reclaimPolicy Retain left it as it was: save what you need, then {to_free}"
LEFT = "the cloud is removing instance {id}"
FAILED = "instance {id} has failed ({reason}): reset its state in the cloud, or have its tenant reboot it"
HELD = "instance {id} is {reason}: undo that in the cloud, because its tenant cannot use it until then"
