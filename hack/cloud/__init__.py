"""A public cloud to try things with: moto's simulation of EC2 as a process of its own."""
