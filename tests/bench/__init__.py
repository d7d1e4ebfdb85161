"""Benchmarks: this server and kube-apiserver serving the same kind as a CRD, in one run on one
machine. `make bench`.

What counts is the ratio of CPU per request, by the clocks of the processes; absolute times mean
nothing on a shared machine.
"""
