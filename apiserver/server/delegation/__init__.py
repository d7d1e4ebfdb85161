"""Delegate authentication, authorisation and namespaces to the management cluster, as aggregated
API servers do."""
