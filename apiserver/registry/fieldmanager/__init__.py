"""Manage fields as kube-apiserver does: managedFields on every write, and server-side apply.

The package does no I/O. Compile a kind's schema once with `compile_schema`. Then call
`track_update` for every create, PUT, JSON and merge patch, and `apply` for apply patches.
`configured` merges the apply configuration of an admission policy. All other modules serve these
functions.
"""

from __future__ import annotations

from apiserver.registry.fieldmanager.configured import configured
from apiserver.registry.fieldmanager.errors import ApplyConflict, ApplyRefused, FieldsError, SchemaMismatch
from apiserver.registry.fieldmanager.fieldset import EMPTY, FieldSet
from apiserver.registry.fieldmanager.manage import apply, keep_times, track_update
from apiserver.registry.fieldmanager.names import default_manager, manager_causes
from apiserver.registry.fieldmanager.schema import SchemaError, Type, compile_schema

__all__ = [
    "EMPTY",
    "ApplyConflict",
    "ApplyRefused",
    "FieldSet",
    "FieldsError",
    "SchemaError",
    "SchemaMismatch",
    "Type",
    "apply",
    "compile_schema",
    "configured",
    "default_manager",
    "keep_times",
    "manager_causes",
    "track_update",
]
