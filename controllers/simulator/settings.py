"""Define how long the simulated hardware takes, and how often the operator retries."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Settings:
    """Holds durations in seconds.

    `keep_suffixed_reboots`: deprovisioning keeps reboot.metal3.io/SUFFIX annotations, as BMO does
    since June 2026. Before that, BMO removed them as well."""

    registering: float = 1.0
    inspecting: float = 2.0
    preparing: float = 1.0
    provisioning: float = 2.0
    deprovisioning: float = 1.0
    cleaning: float = 2.0
    power: float = 1.0
    retry: float = 2.0
    provisioning_retries: int = 5
    keep_suffixed_reboots: bool = False

    def scaled(self, speed: float) -> Settings:
        """Return the settings with all durations multiplied: 0.05 is twenty times as fast, 0 means
        no waits.

        Raises ValueError for a negative factor."""
        if not speed >= 0:
            raise ValueError(f"the speed must be zero or more, not {speed}: it multiplies all durations, so 0.1 is ten times as fast")
        durations = {field.name: getattr(self, field.name) for field in fields(self) if field.type == "float"}
        return replace(self, **{name: seconds * speed for name, seconds in durations.items()})

    def backoff(self, errors: int) -> float:
        """Return the seconds to wait after this many failures in a row."""
        return self.retry * (1, 2, 4, 8)[min(max(errors - 1, 0), 3)]
