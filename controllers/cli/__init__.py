"""Implement commands that run controllers.

They are found by entry point, and may combine parts of both packages."""
