"""A KubeVirt without virtual machines, for tests and demonstrations: its API's shape and a
simulation of its controllers."""
