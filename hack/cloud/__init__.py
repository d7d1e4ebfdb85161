"""Simulate clouds for tests and experiments: EC2 by moto, and OpenStack's Keystone and Nova."""
