"""Where machines come from: one provider per kind of source, found by entry point, independent of each other."""
