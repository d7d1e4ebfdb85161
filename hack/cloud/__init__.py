"""Run a public cloud for experiments: moto's simulation of EC2 in a process of its own."""
