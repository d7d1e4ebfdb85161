"""Move Workloads to another management cluster, and back, while their machines continue to run."""
