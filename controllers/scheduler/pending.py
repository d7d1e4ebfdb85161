"""The Workloads that wait for a host, by the class that they wait for. No I/O."""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Pending"]


class Pending:
    """Keys of Workloads; the class is "" while it is not known."""

    def __init__(self) -> None:
        self._class: dict[str, str] = {}
        self._keys: dict[str, dict[str, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._class)

    def __contains__(self, key: str) -> bool:
        return key in self._class

    def add(self, key: str, class_name: str = "") -> None:
        """It waits for a host of this class."""
        self.remove(key)
        self._class[key] = class_name
        self._keys[class_name][key] = None

    def remove(self, key: str) -> None:
        """It waits no more; harmless if it did not."""
        class_name = self._class.pop(key, None)
        if class_name is not None:
            del self._keys[class_name][key]
            if not self._keys[class_name]:
                del self._keys[class_name]

    def of(self, class_name: str) -> list[str]:
        """Those that wait for a host of this class, the longest first."""
        return list(self._keys.get(class_name, ()))

    def all(self) -> list[str]:
        """All that wait."""
        return list(self._class)
