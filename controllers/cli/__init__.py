"""Commands that run controllers. They are found by entry point, and may put parts of both packages
together."""
