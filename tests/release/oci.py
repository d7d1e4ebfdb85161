"""Convert a pod of the manifests into an OCI runtime's configuration, as kubelet and containerd
do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Object: TypeAlias = "dict[str, Any]"
NAMESPACES = ("pid", "ipc", "uts", "mount")
"""The namespaces of a container, beside its pod's network. There are no user namespaces by
default."""
BEHIND = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]},
]


@dataclass(frozen=True)
class Image:
    """An image that is unpacked at `root`, with its OCI configuration."""

    root: Path
    config: Object

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of the image."""
        return dict(item.split("=", 1) for item in self.config["Env"])


@dataclass(frozen=True)
class Mount:
    """A folder or file of the node in a container."""

    source: Path
    path: str
    read_only: bool = False

    def oci(self) -> Object:
        """Return the mount in the runtime's format."""
        options = ["rbind", "ro" if self.read_only else "rw"]
        return {"destination": self.path, "type": "bind", "source": str(self.source), "options": options}


def configuration(pod: Object, container: Object, image: Image, mounts: Sequence[Mount], variables: Mapping[str, str]) -> Object:
    """Return the config.json of a container of this pod's specification. `variables`: what kubelet
    adds."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(image.root), "readonly": _security(pod, container)["readOnlyRootFilesystem"]},
        "hostname": pod["hostname"],
        "mounts": [*BEHIND, *(mount.oci() for mount in mounts)],
        "process": process(pod, container, image, variables),
        "linux": {"namespaces": [*({"type": kind} for kind in NAMESPACES), {"type": "network", "path": pod["network"]}]},
    }


def process(pod: Object, container: Object, image: Image, variables: Mapping[str, str], command: Sequence[str] = ()) -> Object:
    """Return the process to run, and its user: the container's own command, or another one for a
    probe."""
    security = _security(pod, container)
    assert security["capabilities"] == {"drop": ["ALL"]}, "this runs containers without capabilities only"
    named = {item["name"]: _value(item, pod) for item in container.get("env", ())}
    own = [*(container.get("command") or image.config["Entrypoint"]), *(_expanded(word, named) for word in container.get("args", ()))]
    environment = {**image.environment, **variables, **named}
    return {
        "terminal": False,
        "user": {"uid": security["runAsUser"], "gid": security["runAsGroup"], "additionalGids": _groups(security)},
        "args": list(command) or own,
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": image.config.get("WorkingDir") or "/",
        "capabilities": {},
        "noNewPrivileges": not security["allowPrivilegeEscalation"],
    }


def _security(pod: Object, container: Object) -> Object:
    return {**pod["securityContext"], **container["securityContext"]}


def _groups(security: Object) -> list[int]:
    return [security["fsGroup"]] if "fsGroup" in security else []


def _expanded(argument: str, named: Mapping[str, str]) -> str:
    """Return the argument with values in the place of each $(NAME), as kubelet replaces them."""
    return re.sub(r"\$\((\w+)\)", lambda found: named.get(found[1], found[0]), argument)


def _value(item: Object, pod: Object) -> str:
    if "value" in item:
        return str(item["value"])
    if "configMapKeyRef" in item["valueFrom"]:
        wanted = item["valueFrom"]["configMapKeyRef"]
        return str(pod["configMaps"][wanted["name"]][wanted["key"]])
    path = item["valueFrom"]["fieldRef"]["fieldPath"]
    return str({"metadata.name": pod["hostname"], "metadata.namespace": pod["namespace"], "status.podIP": pod["address"]}[path])
