"""Compare this server with kube-apiserver, which serves the same kind as a CRD, in one run on one
machine: `make bench`.

The relevant result is the ratio of CPU per request, by the clocks of the processes. Absolute times
mean nothing on a shared machine.
"""
