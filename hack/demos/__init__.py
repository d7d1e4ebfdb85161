"""Demonstrate the project on real control planes, step by step as a user sees it.

A demonstration fails if a step has another result."""
