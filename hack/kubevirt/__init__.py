"""Simulate KubeVirt without virtual machines, for tests and demonstrations: its API and its
controllers."""
