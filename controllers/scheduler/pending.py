"""Track the Workloads that wait for a host, by class."""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Pending"]


class Pending:
    """Keys of Workloads. The class is "" while it is not known."""

    def __init__(self) -> None:
        self._class: dict[str, str] = {}
        self._keys: dict[str, dict[str, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._class)

    def __contains__(self, key: str) -> bool:
        return key in self._class

    def add(self, key: str, class_name: str = "") -> None:
        """Add a Workload that waits for a host of this class."""
        self.remove(key)
        self._class[key] = class_name
        self._keys[class_name][key] = None

    def remove(self, key: str) -> None:
        """Remove a Workload. Has no effect if it does not wait."""
        class_name = self._class.pop(key, None)
        if class_name is not None:
            del self._keys[class_name][key]
            if not self._keys[class_name]:
                del self._keys[class_name]

    def of(self, class_name: str) -> list[str]:
        """Return the Workloads that wait for a host of this class, the longest-waiting first."""
        return list(self._keys.get(class_name, ()))

    def all(self) -> list[str]:
        """Return all waiting Workloads."""
        return list(self._class)
