"""Implement the embedded backend: one SQLite file, owned by one process."""

from storage.sqlite.retention import Retention
from storage.sqlite.store import SQLiteStore

__all__ = ["Retention", "SQLiteStore"]
