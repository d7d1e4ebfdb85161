"""Development tooling: never installed, imported only from a checkout."""
