"""Create a network for this process, as a node has one.

Pods listen on the ports that the manifests name, and nothing outside reaches them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NODE", "own_network"]

NODE = "192.0.2.1"
"""The address of the node and its pods: one for documentation (RFC 5737), local to this network."""
SERVICES = "10.96.0.0/16"
"""The address range of Services in hack/cluster's kube-apiservers."""
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """Move this thread into a new network of loopback addresses.

    The processes and threads that it starts from now on are in this network as well."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        _call(LIBC.unshare, CLONE_NEWNET)
        for command in ("link set lo up", f"address add {NODE}/32 dev lo", f"address add {SERVICES} dev lo"):
            subprocess.run(["ip", *command.split()], check=True)
        yield
    finally:
        _call(LIBC.setns, before, CLONE_NEWNET)
        os.close(before)


def _call(function: ctypes._NamedFuncPointer, *arguments: int) -> None:
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)}: these tests need root and network namespaces")
