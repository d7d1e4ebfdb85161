"""Define the sources of machines: one provider per kind of source, found by entry point.

The providers are independent of each other."""
