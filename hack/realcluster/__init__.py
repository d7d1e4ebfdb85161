"""Two real Kubernetes control planes on loopback with this project's server between them, for tests
and for trying things out.

`hack/cluster` is the command. Nothing here is part of the product: it speaks to it by command line
and HTTP only.
"""
