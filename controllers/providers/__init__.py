"""Define the sources of machines: one provider per kind of source.

A provider is found by its entry point, and imports nothing of the others."""
