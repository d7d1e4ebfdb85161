"""Contain development tooling that is never installed and is imported only from a checkout."""
