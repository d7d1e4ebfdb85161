"""Authentication, authorisation and namespaces by asking the management cluster, as aggregated API
servers do."""
