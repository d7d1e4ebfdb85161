"""Configure property-based tests so that a slow machine causes no failures, and the garbage collector
so that it costs little.

Slow runs, and examples that are slow to generate, are accepted."""

from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from examining all modules and tests again and again."""
    gc.collect()
    gc.freeze()
