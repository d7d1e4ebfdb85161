"""Configure property-based tests so that a slow machine causes no failures.

Slow runs, and examples that are slow to generate, are accepted."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
