"""Serve an endpoint that looks like the management cluster's kube-apiserver.

BareMetalHosts are the tenants' view there. Everything else is passed on to kube-apiserver with the
caller's own bearer token, and with nothing else of this server's.
"""
