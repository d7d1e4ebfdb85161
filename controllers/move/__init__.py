"""Moves Workloads to another management cluster, and back, while their machines run on."""
