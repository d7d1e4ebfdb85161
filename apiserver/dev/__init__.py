"""Provide the parts of dev mode: small versions of components that a cluster provides.

The command line (controllers.cli.dev) combines them. They are not used elsewhere."""
