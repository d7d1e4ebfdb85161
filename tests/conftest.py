"""Property-based tests hold however slow the machine is: what takes long, and examples that are
slow to make, are no failures."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
