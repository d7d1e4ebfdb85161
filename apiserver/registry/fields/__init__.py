"""Field management as kube-apiserver has it: managedFields on every write, and server-side apply. Pure, no I/O.

Compile a kind's schema once with `compile_schema`; then call `track_update` for every create, PUT, JSON and merge patch, and `apply` for
apply patches. Everything else serves these two.
"""

from __future__ import annotations

from apiserver.registry.fields.errors import ApplyConflict, ApplyRefused, FieldsError, SchemaMismatch
from apiserver.registry.fields.fieldset import EMPTY, FieldSet
from apiserver.registry.fields.manage import apply, keep_times, track_update
from apiserver.registry.fields.names import default_manager, manager_causes
from apiserver.registry.fields.schema import SchemaError, Type, compile_schema

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
    "default_manager",
    "keep_times",
    "manager_causes",
    "track_update",
]
