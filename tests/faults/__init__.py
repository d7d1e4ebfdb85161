"""Test that no write is ever lost: killed processes, unreachable and full disks, damaged files,
checked histories.

`make faults` runs the tests."""
