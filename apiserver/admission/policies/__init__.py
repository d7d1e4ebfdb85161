"""Enforce the admission policies of the management cluster on this server's kinds."""
