"""Run two real Kubernetes control planes on loopback with this project's server between them.

It is for tests and experiments. `hack/cluster` is the command. Nothing here is part of the product:
it uses the product only through the command line and HTTP.
"""
