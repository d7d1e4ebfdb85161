"""Define the kinds of this server as pydantic models with their validation.

The package does no I/O, and does not depend on the rest."""
