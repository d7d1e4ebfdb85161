"""The kinds this server knows, as pydantic models with their validation. No I/O, no dependencies on
the rest."""
